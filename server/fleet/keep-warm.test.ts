// Pinned engines through an idle hour: the clock is moved, everything else is real.

import { afterEach, expect, test } from "bun:test";
import { model, testFleet } from "./test-fleet.ts";
import { realClock } from "./worker.ts";

const open: { end(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await each.end();
});

/** A clock that runs, and can be put forward. */
function movable() {
  let ahead = 0;
  return {
    clock: { now: () => realClock.now() + ahead, sleep: realClock.sleep },
    move: (ms: number) => {
      ahead += ms;
    },
  };
}

const calls = async (fleet: ReturnType<typeof testFleet>["fleet"]) => {
  const answer = await fleet.place("m")!.engine.ask("GET", "/calls", new AbortController().signal);
  return (await answer.json()) as number;
};

/** Two looks of the fleet at what is due. */
const ticks = () => Bun.sleep(600);

test("a pinned engine that nobody calls is asked for one token every five minutes, and never while it works", async () => {
  const { clock, move } = movable();
  const made = testFleet([{}], { clock, models: [model("m")], slots: 1 });
  open.push(made);
  const { fleet } = made;
  await fleet.start();
  for (let minute = 0; minute < 15; minute += 5) {
    move(5 * 60_000);
    await ticks();
  }
  const held = fleet.place("m")!;
  const asked = async () => {
    const answer = await held.engine.ask("GET", "/calls", new AbortController().signal);
    return (await answer.json()) as number;
  };
  // Its proof at the start, and three times since.
  expect(await asked()).toBe(4);
  move(60 * 60_000);
  await ticks();
  expect(await asked()).toBe(4);
  held.release();
  // It has just ended a call, so it is warm.
  await ticks();
  expect(await asked()).toBe(4);
}, 10_000);

test("one that is not pinned, or with keeping warm turned off, is left alone", async () => {
  for (const more of [{ entry: { pinned: false } }, { limits: { keepWarmMs: 0 } }]) {
    const { clock, move } = movable();
    const made = testFleet([{}], { clock, ...more });
    open.push(made);
    const { fleet } = made;
    const warm = made.until(({ state }) => state === "warm");
    await fleet.start();
    try {
      fleet.place("m")!.release();
    } catch {
      await warm; // asked for, and loaded
    }
    move(60 * 60_000);
    await ticks();
    expect(await calls(fleet)).toBe(1);
  }
}, 10_000);
