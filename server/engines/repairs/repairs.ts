// The table of repairs, in the order in which they work. A kind's row in data/engines.yaml asks for them by name.

import { embeddings } from "./embeddings.ts";
import { finish } from "./finish.ts";
import { keys } from "./keys.ts";
import { reasoning } from "./reasoning.ts";
import { eachChunk, type Repair } from "./repair.ts";
import { role } from "./role.ts";
import { think } from "./think.ts";
import { tools } from "./tools.ts";
import { usage } from "./usage.ts";

/** The reader's own affair, and a wish of the row all the same. */
const done: Repair = {
  about: "A stream that ends without `[DONE]` is whole all the same when every choice in it has ended.",
  stream: () => eachChunk(() => false),
  whole: () => false,
};

export const REPAIRS: Readonly<Record<string, Repair>> = {
  keys,
  reasoning,
  think,
  role,
  tools,
  finish,
  usage,
  embeddings,
  done,
};
