import { describe, expect, test } from "bun:test";
import { createSlots } from "./slots.ts";

const NEVER = new AbortController().signal;

describe("slots", () => {
  const line = (lowFirst: boolean) => createSlots({ slots: 1, waitingMax: 3, lowFirst });

  test("a more important call goes before those that came earlier, in the polarity of the engine", async () => {
    for (const lowFirst of [false, true]) {
      const slots = line(lowFirst);
      const order: string[] = [];
      const held = await slots.take(0, NEVER);
      const enter = (name: string, priority: number) =>
        slots.take(priority, NEVER).then((release) => {
          order.push(name);
          release();
        });
      const all = [enter("first", 5), enter("second", 5), enter("urgent", lowFirst ? 1 : 9)];
      expect([slots.running(), slots.waiting()]).toEqual([1, 3]);
      held();
      held();
      await Promise.all(all);
      expect(order).toEqual(["urgent", "first", "second"]);
      expect([slots.running(), slots.waiting()]).toEqual([0, 0]);
    }
  });

  test("a full line refuses, and who hangs up leaves it", async () => {
    const slots = line(false);
    const held = await slots.take(0, NEVER);
    const gone = new AbortController();
    const waiting = [slots.take(0, gone.signal), slots.take(0, NEVER), slots.take(0, NEVER)];
    await expect(slots.take(0, NEVER)).rejects.toMatchObject({ row: "queue_full" });
    gone.abort(new Error("gone"));
    await expect(waiting[0]).rejects.toThrow("gone");
    expect(slots.waiting()).toBe(2);
    held();
    (await waiting[1]!)();
    (await waiting[2]!)();
    expect(slots.running()).toBe(0);
  });
});
