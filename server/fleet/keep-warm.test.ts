// Pinned engines through an idle hour: the clock is moved, everything else is real.

import { afterEach, expect, test } from "bun:test";
import type { Placement } from "./fleet.ts";
import { placed, type TestFleetOptions, testFleet } from "./test-fleet.ts";
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

/** A fleet that looks at what is due when it is told to. @returns `look`: whether it touched an engine, and the engine answered */
async function idle(options: TestFleetOptions) {
  const { clock, move } = movable();
  let tick = (): void => {};
  const every = (_: number, back: () => void) => {
    tick = back;
    return () => {};
  };
  const made = testFleet([{}], { clock, every, ...options });
  open.push(made);
  const { fleet } = made;
  const used = () => fleet.engines().reduce((sum, engine) => sum + engine.used, 0);
  let free = (): void => {};
  fleet.onFree(() => free());
  const look = async (): Promise<boolean> => {
    const answered = new Promise<void>((resolve) => {
      free = resolve;
    });
    const before = used();
    tick();
    if (used() === before) return false;
    await answered;
    return true;
  };
  await fleet.start();
  return { ...made, move, look };
}

/** What its worker was asked since the start. */
const asked = async ({ engine }: Placement) => {
  const answer = await engine.ask("GET", "/calls", new AbortController().signal);
  return (await answer.json()) as number;
};

test("a pinned engine that nobody calls is asked for one token every five minutes, and never while it works", async () => {
  const { fleet, move, look } = await idle({ slots: 1 });
  for (let minute = 0; minute < 15; minute += 5) {
    expect(await look()).toBe(false);
    move(5 * 60_000);
    expect(await look()).toBe(true);
  }
  const held = fleet.place("m")!;
  // Its proof at the start, and three times since.
  expect(await asked(held)).toBe(4);
  move(60 * 60_000);
  expect(await look()).toBe(false);
  held.release();
  // It has just ended a call, so it is warm.
  expect(await look()).toBe(false);
  move(5 * 60_000);
  expect(await look()).toBe(true);
});

test("one that is not pinned, or with keeping warm turned off, is left alone", async () => {
  for (const more of [{ entry: { pinned: false } }, { limits: { keepWarmMs: 0 } }]) {
    const { fleet, move, look } = await idle(more);
    const placement = await placed(fleet, "m");
    expect(await asked(placement)).toBe(1);
    placement.release();
    move(60 * 60_000);
    expect(await look()).toBe(false);
  }
});
