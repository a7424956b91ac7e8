// Counts the slots of one engine: what is taken is given back once, whatever becomes of the engine meanwhile.

export interface Slots {
  /** Takes one. Returns how to give it back, which works once; null when `max` or more are taken. */
  take(max?: number): (() => void) | null;
  readonly taken: number;
  readonly free: number;
  /** How often one was taken since the start. */
  readonly begun: number;
  /** How many there are. Fewer than are taken: none is given until enough have come back. */
  count: number;
}

/** @param onRelease called after each one given back */
export function createSlots(count: number, onRelease: () => void): Slots {
  let taken = 0;
  let begun = 0;
  const slots: Slots = {
    count,
    take(max = slots.count) {
      if (taken >= Math.min(max, slots.count)) return null;
      taken++;
      begun++;
      let held = true;
      return () => {
        if (!held) return;
        held = false;
        taken--;
        onRelease();
      };
    },
    get taken() {
      return taken;
    },
    get begun() {
      return begun;
    },
    get free() {
      return Math.max(0, slots.count - taken);
    },
  };
  return slots;
}
