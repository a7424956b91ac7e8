// A list that anyone can leave from the middle at once: callers hang up wherever they stand in line.

export interface Link<T> {
  readonly value: T;
  before: Link<T> | null;
  after: Link<T> | null;
}

export interface List<T> {
  readonly length: number;
  /** The one that came first. */
  readonly first: T | undefined;
  add(value: T): Link<T>;
  /** @param link of this list, and still in it */
  remove(link: Link<T>): void;
}

export function createList<T>(): List<T> {
  let length = 0;
  let first: Link<T> | null = null;
  let last: Link<T> | null = null;
  return {
    get length() {
      return length;
    },
    get first() {
      return first?.value;
    },
    add(value) {
      const link: Link<T> = { value, before: last, after: null };
      if (last) last.after = link;
      else first = link;
      last = link;
      length++;
      return link;
    },
    remove(link) {
      if (link.before) link.before.after = link.after;
      else first = link.after;
      if (link.after) link.after.before = link.before;
      else last = link.before;
      length--;
    },
  };
}
