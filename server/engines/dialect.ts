// How a kind of remote engine is spoken to and understood: what its row of data/engines.yaml says, put to work.

import type { RemoteKind } from "../config.ts";
import type { EngineAnswer } from "./answer.ts";
import { readMended } from "./mended.ts";
import { readRemoteRefusal } from "./refusals.ts";
import type { Said } from "./said.ts";
import { say } from "./say.ts";
import type { SendOptions } from "./send-options.ts";

export interface Dialect {
  say(path: string, body: Uint8Array, options: SendOptions): Said;
  /** @throws RelayedError for refusals of the call; ApiError for what the engine is to blame for */
  read(response: Response, said: Said): Promise<EngineAnswer>;
  learn(found: { prioritySupported: boolean }): void;
}

export function createDialect(
  remote: RemoteKind,
  { names, classes }: { names: ReadonlyMap<string, string>; classes: readonly string[] },
): Dialect {
  let prioritySupported = false;
  return {
    say: (path, body, options) => say(path, body, options, { remote, names, classes, prioritySupported }),
    async read(response, said) {
      if (!response.ok) throw await readRemoteRefusal(response, remote, said);
      return readMended(response, said, remote);
    },
    learn: (found) => {
      prioritySupported = found.prioritySupported;
    },
  };
}
