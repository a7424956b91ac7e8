import { expect, test } from "bun:test";
import { groupOf } from "./test-group.ts";

const one = () => {
  const { clock, replicas, said } = groupOf({});
  return { clock, replica: replicas[0]!, said: said[0]! };
};

test("an answer is a sign of life for as long as it comes, and its end is one", () => {
  const { clock, replica } = one();
  clock.now = 7_000;
  expect(replica.signs()).toEqual({ lost: false, quietMs: 7_000 });
  replica.answers();
  replica.answers();
  clock.now = 60_000;
  expect(replica.signs().quietMs).toBe(0);
  replica.answered();
  clock.now = 65_000;
  expect(replica.signs().quietMs).toBe(0);
  replica.answered();
  clock.now = 66_000;
  expect(replica.signs().quietMs).toBe(1_000);
});

test("work by its own metrics is a sign of life; numbers that stand still are none", async () => {
  const { clock, replica, said } = one();
  const look = async (work: number | null) => {
    clock.now += 2_000;
    said.load = { running: 1, waiting: 0, kvUsage: null, work };
    await replica.poll();
    return replica.signs().quietMs;
  };
  expect([await look(5), await look(5), await look(6), await look(6), await look(6)]).toEqual([
    0, 2_000, 0, 2_000, 4_000,
  ]);
  // It has been started anew, and counts from the beginning.
  expect([await look(0), await look(null)]).toEqual([0, 2_000]);
});

test("one that is gone or was sent off is lost", () => {
  const { replica, said } = one();
  for (let error = 0; error < 2; error++) replica.health.report({ kind: "failed" });
  expect(replica.signs().lost).toBe(true);
  const gone = one();
  gone.said.state = { state: "loading", progress: 0, reason: "gone" };
  expect(gone.replica.signs().lost).toBe(true);
  expect(said.state.state).toBe("warm");
});
