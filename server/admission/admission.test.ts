import { expect, test } from "bun:test";
import { ApiError } from "@oxbow/contract";
import fc from "fast-check";
import { createAdmission } from "./admission.ts";

/** Slots of one model, as the fleet counts them. */
function slots(count: number, options: { depthMax?: number; waitMsMax?: number } = {}) {
  let free = count;
  const admission = createAdmission<string>({
    place: () => {
      if (free === 0) return null;
      free--;
      return {
        engine: "e",
        release: () => {
          free++;
          admission.pump("m");
        },
      };
    },
    depthMax: options.depthMax ?? 8,
    waitMsMax: options.waitMsMax ?? 60_000,
    now: () => 0,
  });
  return { admission, free: () => free };
}
const never = new AbortController().signal;
const rowOf = (error: unknown) => (error as ApiError).row;

test("callers go in the order in which they came", async () => {
  const { admission } = slots(1);
  const held = await admission.admit("m", never);
  const order: number[] = [];
  const line = [1, 2].map(async (name) => {
    const ticket = await admission.admit("m", never);
    order.push(name);
    ticket.close();
  });
  held.close();
  await Promise.all(line);
  expect(order).toEqual([1, 2]);
});

test("a caller beyond the depth is refused at once", async () => {
  const { admission } = slots(0, { depthMax: 1 });
  const first = admission.admit("m", never).catch(rowOf);
  expect(await admission.admit("m", never).catch(rowOf)).toBe("queue_full");
  admission.close();
  expect(await first).toBe("shutting_down");
});

test("a caller who waits too long is told so", async () => {
  const { admission } = slots(0, { waitMsMax: 1 });
  expect(await admission.admit("m", never).catch(rowOf)).toBe("queue_timeout");
});

test("a model that never got ready says that, not that all were busy", async () => {
  const admission = createAdmission({
    place: () => {
      throw new ApiError("model_not_ready", "loading");
    },
    depthMax: 1,
    waitMsMax: 1,
    now: () => 0,
  });
  expect(await admission.admit("m", never).catch(rowOf)).toBe("model_not_ready");
});

test("a caller who hangs up leaves the line and takes no slot", async () => {
  const { admission, free } = slots(1);
  const held = await admission.admit("m", never);
  const caller = new AbortController();
  const waiting = admission.admit("m", caller.signal).catch(() => "gone");
  caller.abort();
  expect(await waiting).toBe("gone");
  held.close();
  held.close();
  expect(free()).toBe(1);
  expect(admission.counts()).toEqual({ open: 0, waiting: 0 });
});

test("whatever happens in whatever order, no slot is lost and none is given twice", async () => {
  const step = fc.oneof(fc.constant("come"), fc.constant("end"), fc.constant("hang up"));
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 60 }), async (count, steps) => {
      const { admission, free } = slots(count, { depthMax: 5 });
      const open: { close(): void }[] = [];
      const callers: AbortController[] = [];
      for (const what of steps) {
        if (what === "end") open.shift()?.close();
        if (what === "hang up") callers.shift()?.abort();
        if (what === "come") {
          const caller = new AbortController();
          callers.push(caller);
          admission.admit("m", caller.signal).then(
            (ticket) => open.push(ticket),
            () => {},
          );
        }
        await Promise.resolve();
        await Promise.resolve();
        await Promise.resolve();
        expect(open.length + free()).toBeLessThanOrEqual(count);
      }
      admission.close();
      await Bun.sleep(0);
      for (const ticket of open) ticket.close();
      expect(free()).toBe(count);
      expect(admission.counts()).toEqual({ open: 0, waiting: 0 });
    }),
    { numRuns: 200 },
  );
});
