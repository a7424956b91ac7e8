import { expect, test } from "bun:test";
import fc from "fast-check";
import { choosePlace, createSlots, type Slot } from "./slots.ts";

type Run = string;

function slotsWith(caches: number[][], busy: number[] = []): Slot<Run>[] {
  const slots = createSlots<Run>(caches.length);
  for (const slot of slots) {
    slot.cache.push(...caches[slot.id]!);
    if (busy.includes(slot.id)) slot.run = "busy";
  }
  return slots;
}
const prompt = (...tokens: number[]) => Uint32Array.from(tokens);
const NEVER = Number.POSITIVE_INFINITY;

test("a prompt goes where most of it is in memory", () => {
  const slots = slotsWith([[1, 2], [1, 2, 3, 4], []]);
  expect(choosePlace(slots, prompt(1, 2, 3, 9), NEVER)).toMatchObject({ slot: { id: 1 }, reused: 3, copyFrom: null });
});

test("the last token of a prompt is computed even when it is in memory", () => {
  const slots = slotsWith([[1, 2, 3]]);
  expect(choosePlace(slots, prompt(1, 2, 3), NEVER).reused).toBe(2);
});

test("a slot that shares only a template's first words is not taken from its conversation", () => {
  const conversation = Array.from({ length: 100 }, (_, i) => i);
  const slots = slotsWith([conversation, []]);
  slots[0]!.usedAt = 1;
  const other = prompt(0, 1, 2, ...Array.from({ length: 100 }, (_, i) => 500 + i));
  expect(choosePlace(slots, other, NEVER).slot.id).toBe(1);
});

test("a short prompt does not take a long conversation's slot for its first words, and gets a copy of them when that saves enough", () => {
  const system = Array.from({ length: 80 }, (_, i) => i);
  const conversation = [...system, ...Array.from({ length: 900 }, (_, i) => 1_000 + i)];
  const slots = slotsWith([conversation, []]);
  slots[0]!.usedAt = 1;
  const short = prompt(...system, 7, 8);
  expect(choosePlace(slots, short, NEVER)).toMatchObject({ slot: { id: 1 }, reused: 0, copyFrom: null });
  expect(choosePlace(slots, short, 64)).toMatchObject({ slot: { id: 1 }, reused: 80, copyFrom: { id: 0 } });
  // The next turn of the conversation, and the same turn again, are its own.
  expect(choosePlace(slots, prompt(...conversation, 7), NEVER)).toMatchObject({ slot: { id: 0 }, reused: 980 });
  expect(choosePlace(slots, prompt(...conversation.slice(0, 90)), NEVER)).toMatchObject({
    slot: { id: 0 },
    reused: 89,
  });
  expect(choosePlace(slotsWith([conversation]), short, 64)).toMatchObject({ slot: { id: 0 }, copyFrom: null });
});

test("a busy slot's memory is copied when that saves enough", () => {
  const held = Array.from({ length: 100 }, (_, i) => i);
  const slots = slotsWith([held, [], []], [0]);
  expect(choosePlace(slots, prompt(...held, 7), 64)).toMatchObject({
    slot: { id: 1 },
    reused: 100,
    copyFrom: { id: 0 },
  });
  expect(choosePlace(slots, prompt(...held, 7), 101)).toMatchObject({ reused: 0, copyFrom: null });
});

test("new prompts keep the busy slots in a row", () => {
  expect(choosePlace(slotsWith([[], [], [], []], [1]), prompt(1), NEVER).slot.id).toBe(0);
  expect(choosePlace(slotsWith([[], [], [], []], [0, 1]), prompt(1), NEVER).slot.id).toBe(2);
});

test("the slot left longest ago is overwritten first", () => {
  const slots = slotsWith([[1], [2], [3]]);
  slots[0]!.usedAt = 5;
  slots[1]!.usedAt = 4;
  slots[2]!.usedAt = 6;
  expect(choosePlace(slots, prompt(9, 9), NEVER).slot.id).toBe(1);
});

test("any place is free, and what it promises to reuse is there", () => {
  const tokens = fc.array(fc.nat(2), { maxLength: 8 });
  fc.assert(
    fc.property(
      fc.array(fc.record({ cache: tokens, busy: fc.boolean(), usedAt: fc.nat(9) }), { minLength: 1, maxLength: 6 }),
      tokens.filter((list) => list.length > 0),
      fc.integer({ min: 1, max: 9 }),
      (specs, list, copyMin) => {
        const slots = slotsWith(specs.map(({ cache }) => cache));
        for (const slot of slots) {
          slot.usedAt = specs[slot.id]!.usedAt;
          slot.run = specs[slot.id]!.busy ? "busy" : null;
        }
        fc.pre(slots.some((slot) => slot.run === null));
        const { slot, reused, copyFrom } = choosePlace(slots, prompt(...list), copyMin);
        expect(slot.run).toBeNull();
        expect(reused).toBeLessThan(list.length);
        expect((copyFrom ?? slot).cache.slice(0, reused)).toEqual(list.slice(0, reused));
      },
    ),
  );
});
