// How long a simulated engine takes: a deterministic curve, and waits that end when the caller hangs up.

export interface Pace {
  /** Milliseconds to the first token of a prompt with nothing in the prefix cache but `uncachedTokens` to be read. */
  firstMs(uncachedTokens: number): number;
  /** Milliseconds between tokens. */
  betweenMs: number;
}

/** @param options first token = `ttftMs` + `promptMsPerToken` · uncached prompt tokens; then `itlMs` each; 0 for no wait */
export function createPace(options: { ttftMs: number; promptMsPerToken: number; itlMs: number }): Pace {
  return {
    firstMs: (uncachedTokens) => options.ttftMs + options.promptMsPerToken * uncachedTokens,
    betweenMs: options.itlMs,
  };
}

/** Waits. @throws the signal's reason as soon as it aborts */
export function wait(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal.addEventListener("abort", stop, { once: true });
  });
}

/** Waits until the signal aborts, and throws its reason. */
export function waitForever(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
