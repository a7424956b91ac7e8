import { expect, test } from "bun:test";
import fc from "fast-check";
import { planBatch } from "./batch.ts";
import { newRun, type Run } from "./job.ts";
import { createSlots } from "./slots.ts";
import { greedyJob } from "./testing.ts";

interface Spec {
  promptTokens: number;
  read: number;
  generating: boolean;
}

function slotsFor(specs: (Spec | null)[]) {
  const slots = createSlots<Run>(specs.length);
  for (const [id, spec] of specs.entries()) {
    if (!spec) continue;
    const run = newRun(
      greedyJob(new Uint32Array(spec.promptTokens), 10, []),
      () => {},
      () => {},
    );
    if (spec.generating) run.last = 7;
    slots[id]!.run = run;
    slots[id]!.cache.length = spec.generating ? spec.promptTokens : spec.read;
  }
  return slots;
}

const spec = fc.option(
  fc
    .record({ promptTokens: fc.integer({ min: 1, max: 900 }), read: fc.nat(899), generating: fc.boolean() })
    .filter(({ promptTokens, read }) => read < promptTokens),
);

test("every generating sequence gets its token, nobody starves, and the batch is not overfilled", () => {
  fc.assert(
    fc.property(
      fc.array(spec, { minLength: 1, maxLength: 16 }),
      fc.integer({ min: 32, max: 512 }),
      (specs, batchTokens) => {
        const parts = planBatch(slotsFor(specs), batchTokens);
        const ids = parts.map(({ slot }) => slot.id);
        expect(ids).toEqual([...ids].sort((a, b) => a - b));
        expect(ids).toEqual(specs.flatMap((one, id) => (one ? [id] : [])));
        expect(parts.reduce((sum, { tokens }) => sum + tokens.length, 0)).toBeLessThanOrEqual(batchTokens);
        for (const { tokens } of parts) expect(tokens.length).toBeGreaterThan(0);
      },
    ),
  );
});

test("while one generates, a long prompt is read in quarters of a batch", () => {
  const long = { promptTokens: 5000, read: 0, generating: false };
  const alone = planBatch(slotsFor([long]), 512);
  expect(alone[0]!.tokens.length).toBe(512);
  const beside = planBatch(slotsFor([long, { promptTokens: 3, read: 0, generating: true }]), 512);
  expect(beside.map(({ tokens }) => tokens.length)).toEqual([128, 1]);
});

test("two prompts are read side by side", () => {
  const parts = planBatch(
    slotsFor([
      { promptTokens: 5000, read: 0, generating: false },
      { promptTokens: 40, read: 0, generating: false },
    ]),
    512,
  );
  expect(parts.map(({ tokens }) => tokens.length)).toEqual([256, 40]);
  expect(parts.map(({ wanted }) => [...wanted])).toEqual([[], [39]]);
});
