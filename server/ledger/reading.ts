// The reader's side in the thread that serves requests: questions go out, answers come back. The thread starts with the
// first question.

import { errorOf, type FromReader, type QueryName, type ToReader } from "./protocol.ts";
import type { Queries } from "./queries.ts";

type Ask = <Name extends QueryName>(
  query: Name,
  ...args: Parameters<Queries[Name]>
) => Promise<ReturnType<Queries[Name]>>;

export function createReading(home: string): { ask: Ask; close(): Promise<void> } {
  let worker: Worker | undefined;
  let lastId = 0;
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();

  function start(): Worker {
    const started = new Worker(new URL("./reader.ts", import.meta.url).href);
    started.onmessage = ({ data }: MessageEvent<FromReader>) => {
      const asked = waiting.get(data.id);
      waiting.delete(data.id);
      if ("trouble" in data) asked?.reject(errorOf(data.trouble));
      else asked?.resolve(data.value);
    };
    // It caught what a question threw: this is a fault of the thread itself, and all questions are lost.
    started.onerror = ({ message }) => {
      for (const asked of waiting.values()) asked.reject(new Error(`the ledger's reader has failed: ${message}`));
      waiting.clear();
      worker = undefined;
    };
    return started;
  }

  function send(query: QueryName | null, args: unknown[]): Promise<unknown> {
    worker ??= start();
    const id = ++lastId;
    worker.postMessage({ id, home, query, args } satisfies ToReader);
    return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
  }

  return {
    ask: ((query, ...args) => send(query, args)) as Ask,
    async close() {
      if (worker) await send(null, []);
      worker?.unref();
      worker = undefined;
    },
  };
}
