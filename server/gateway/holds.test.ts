import { expect, test } from "bun:test";
import type { ApiError } from "@oxbow/contract";
import fc from "fast-check";
import type { Limits } from "../config.ts";
import { createHolds, holdsFor } from "./holds.ts";

const holdsOf = (bytesMax: number, accountBytesMax: number) =>
  createHolds({ bytesMax, accountBytesMax, random: () => 0 });

const rowOf = (action: () => void) => {
  try {
    action();
    return "taken";
  } catch (error) {
    return (error as ApiError).row;
  }
};

test("an account is refused at its own bound, and all at the server's", () => {
  const holds = holdsOf(100, 60);
  const [one, other, third] = [holds.open("a"), holds.open("a"), holds.open("b")];
  one.take(40);
  expect(rowOf(() => other.take(30))).toBe("rate_limit_exceeded");
  other.take(20);
  third.take(40);
  expect(rowOf(() => third.take(1))).toBe("bodies_full");
  one.release();
  third.take(20);
  expect([holds.held(), holds.accounts()]).toEqual([80, 2]);
});

test("a refusal says when to come again, in the words that SDKs read", () => {
  const holds = holdsOf(10, 10);
  holds.open("a").take(10);
  try {
    holds.open("a").take(1);
    expect.unreachable();
  } catch (error) {
    const { row, message, retryAfterMs } = error as ApiError;
    expect([row, retryAfterMs]).toEqual(["rate_limit_exceeded", 1_000]);
    expect(message).toEndWith("Please try again in 1s.");
    expect(message).not.toMatch(/quota|billing|will reset at/i);
  }
});

test("a call that would not fit even alone is not told to come again", () => {
  const holds = holdsOf(100, 60);
  const call = holds.open("a");
  call.take(50);
  expect(rowOf(() => call.take(11))).toBe("body_too_large");
  call.take(10);
});

test("whatever is taken, refused and ended in whatever order, no bound is passed and nothing is left", () => {
  const step = fc.record({
    call: fc.nat(20),
    account: fc.nat(3),
    bytes: fc.nat(70),
    end: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const holds = holdsOf(100, 60);
      const calls = new Map<number, { account: number; hold: ReturnType<typeof holds.open>; bytes: number }>();
      for (const { call, account, bytes, end } of steps) {
        const known = calls.get(call) ?? { account, hold: holds.open(`account ${account}`), bytes: 0 };
        calls.set(call, known);
        if (end) {
          known.hold.release();
          known.hold.release();
          calls.delete(call);
        } else if (rowOf(() => known.hold.take(bytes)) === "taken") known.bytes += bytes;
        const held = [...calls.values()];
        const sum = (of: typeof held) => of.reduce((all, each) => all + each.bytes, 0);
        expect(holds.held()).toBe(sum(held));
        expect(holds.held()).toBeLessThanOrEqual(100);
        for (let each = 0; each < 4; each++)
          expect(sum(held.filter(({ account }) => account === each))).toBeLessThanOrEqual(60);
      }
      for (const { hold } of calls.values()) hold.release();
      expect([holds.held(), holds.accounts()]).toEqual([0, 0]);
    }),
    { numRuns: 200 },
  );
});

test("the bounds follow the machine unless the operator says otherwise, and leave room for a few on a small one", () => {
  const limits = { bodyBytesMax: 100, bodiesBytesMax: 0, accountBodiesBytesMax: 0 } as Limits;
  expect(holdsFor(limits, 320_000)).toEqual({ bytesMax: 10_000, accountBytesMax: 5_000 });
  expect(holdsFor(limits, 0)).toEqual({ bytesMax: 400, accountBytesMax: 200 });
  const said = { ...limits, bodiesBytesMax: 700, accountBodiesBytesMax: 600 };
  expect(holdsFor(said, 320_000)).toEqual({ bytesMax: 700, accountBytesMax: 600 });
});
