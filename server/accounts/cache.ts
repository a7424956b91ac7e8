// A map that forgets what has not been asked for lately, so that it cannot grow without end. Two generations instead of
// a list in order of use: a hit costs one look-up and moves nothing.

export interface Cache<Value> {
  get(key: string): Value | undefined;
  set(key: string, value: Value): void;
  clear(): void;
}

/** @param sizeMax entries; the last half as many that were asked for are always kept */
export function createCache<Value>(sizeMax: number): Cache<Value> {
  let young = new Map<string, Value>();
  let old = new Map<string, Value>();

  function set(key: string, value: Value): void {
    if (young.size >= sizeMax / 2) {
      old = young;
      young = new Map();
    }
    young.set(key, value);
  }

  return {
    get: (key) => {
      const value = young.get(key);
      if (value !== undefined) return value;
      const older = old.get(key);
      if (older !== undefined) set(key, older);
      return older;
    },
    set,
    clear: () => {
      young = new Map();
      old = new Map();
    },
  };
}
