// Which slot a prompt goes to. A slot is one sequence of the context and remembers the tokens in its memory, so a prompt
// that begins like them has that beginning computed already: the next turn of a conversation costs its new tokens only.

/** One sequence of the context, and what its key-value memory holds. */
export interface Slot<Run> {
  readonly id: number;
  /** Tokens in memory, in order. */
  readonly cache: number[];
  run: Run | null;
  /** Counts up with each placement: the slot with the lowest was left longest ago. */
  usedAt: number;
}

export function createSlots<Run>(count: number): Slot<Run>[] {
  return Array.from({ length: count }, (_, id) => ({ id, cache: [], run: null, usedAt: 0 }));
}

export type Place<Run> =
  /** Take `slot`, whose first `reused` tokens are the prompt's. */
  | { slot: Slot<Run>; reused: number; copyFrom: null }
  /** Take `slot` after copying `copyFrom`, of which the first `reused` tokens are the prompt's. */
  | { slot: Slot<Run>; reused: number; copyFrom: Slot<Run> };

/**
 * The best place for a prompt among `slots`, at least one of which is free. Decides in this order:
 *  1. another slot, busy or not, holds so much more of the prompt than any free one that copying pays: copy it;
 *  2. a free slot holds all of the prompt, or a good part of it and would not lose more than it gives: that one;
 *  3. a free slot beside a busy one, so that the busy ones stay in a row: the engine decodes a row of sequences in one
 *     go, and one after the other where there are gaps. Among several, the one left longest ago.
 *
 * @param copyMin tokens of prefix gained from which on a copy is cheaper than computing; Infinity: never copy
 */
export function choosePlace<Run>(slots: Slot<Run>[], prompt: Uint32Array, copyMin: number): Place<Run> {
  // The last token of a prompt is always computed: its logits are where the answer begins.
  const most = prompt.length - 1;
  let free: Slot<Run> | null = null;
  let inFree = 0;
  let any: Slot<Run> | null = null;
  let inAny = 0;
  for (const slot of slots) {
    const common = commonPrefix(slot.cache, prompt, most);
    if (common > inAny) [any, inAny] = [slot, common];
    if (slot.run === null && common > inFree) [free, inFree] = [slot, common];
  }
  if (any && inAny - inFree >= copyMin) {
    return { slot: quietSlot(slots, any), reused: inAny, copyFrom: any }; // 1
  }
  if (free && inFree * GOOD_PART >= most) {
    // A short prompt that begins as a long conversation does is no turn of it, and would drop the rest of it.
    const loses = inFree === most ? 0 : free.cache.length - inFree;
    if (loses <= inFree) return { slot: free, reused: inFree, copyFrom: null }; // 2
    const other = quietSlot(slots, free);
    if (inFree >= copyMin) return { slot: other, reused: inFree, copyFrom: other === free ? null : free };
  }
  const slot = quietSlot(slots, null); // 3
  return { slot, reused: commonPrefix(slot.cache, prompt, most), copyFrom: null };
}

/** Every prompt of a model shares the first words of its template: a tenth and more is a conversation going on. */
const GOOD_PART = 10;

/** A free slot other than `not`, beside busy ones if there are any. */
function quietSlot<Run>(slots: Slot<Run>[], not: Slot<Run> | null): Slot<Run> {
  const busy = (id: number) => slots[id] !== undefined && slots[id].run !== null;
  const anyBusy = slots.some((slot) => slot.run !== null);
  let best: Slot<Run> | null = null;
  let bestBeside = false;
  for (const slot of slots) {
    if (slot.run !== null || slot === not) continue;
    const beside = !anyBusy || busy(slot.id - 1) || busy(slot.id + 1);
    if (best === null || (beside && !bestBeside) || (beside === bestBeside && slot.usedAt < best.usedAt)) {
      best = slot;
      bestBeside = beside;
    }
  }
  // Only `not` itself may be free: it is then its own best place.
  return best ?? not!;
}

/** How many tokens `a` and `b` begin with in common, at most `most`. */
export function commonPrefix(a: ArrayLike<number>, b: ArrayLike<number>, most: number): number {
  const end = Math.min(a.length, b.length, most);
  let at = 0;
  while (at < end && a[at] === b[at]) at++;
  return at;
}
