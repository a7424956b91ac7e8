// A binary heap whose items know where they stand, so that one can be taken from the middle: the accounts in line.

export interface HeapItem {
  /** Where it stands; -1 while it is in no heap. Written by the heap alone. */
  at: number;
}

export interface Heap<T extends HeapItem> {
  readonly items: readonly T[];
  /** The one that goes before all others. */
  readonly first: T | undefined;
  add(item: T): void;
  remove(item: T): void;
  /** To be called after `item` has changed its order. */
  moved(item: T): void;
}

/** @param before whether `a` goes before `b` */
export function createHeap<T extends HeapItem>(before: (a: T, b: T) => boolean): Heap<T> {
  const items: T[] = [];

  function put(item: T, at: number): void {
    items[at] = item;
    item.at = at;
  }

  function settle(item: T): void {
    let at = item.at;
    for (let up = (at - 1) >> 1; at > 0 && before(item, items[up]!); up = (at - 1) >> 1) {
      put(items[up]!, at);
      at = up;
    }
    for (;;) {
      let down = 2 * at + 1;
      if (down >= items.length) break;
      if (down + 1 < items.length && before(items[down + 1]!, items[down]!)) down++;
      if (!before(items[down]!, item)) break;
      put(items[down]!, at);
      at = down;
    }
    put(item, at);
  }

  return {
    items,
    get first() {
      return items[0];
    },
    add(item) {
      put(item, items.length);
      settle(item);
    },
    remove(item) {
      const { at } = item;
      const last = items.pop()!;
      item.at = -1;
      if (last === item) return;
      put(last, at);
      settle(last);
    },
    moved: settle,
  };
}
