// The thread that reads the ledger: a long view holds up neither requests nor commits.

import type { Database } from "bun:sqlite";
import { type FromReader, type ToReader, troubleOf } from "./protocol.ts";
import { createQueries, type Queries } from "./queries.ts";
import { openToRead } from "./schema.ts";

declare const self: Worker;

let db: Database | null = null;
let queries: Queries | undefined;

self.onmessage = ({ data }: MessageEvent<ToReader>) => {
  let answer: FromReader;
  try {
    answer = { id: data.id, value: obey(data) };
  } catch (error) {
    answer = { id: data.id, trouble: troubleOf(error) };
  }
  postMessage(answer);
};

function obey({ home, query, args }: ToReader): unknown {
  if (query === null) {
    db?.close();
    self.onmessage = null;
    return null;
  }
  if (!queries) {
    db = openToRead(home);
    queries = createQueries(db!);
  }
  return (queries[query] as (...args: unknown[]) => unknown)(...args);
}
