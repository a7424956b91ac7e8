// The operator's own table of engines, engines.yaml in the home, as the command changes it: by entry, comments kept.

import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { Document, isMap, parseDocument } from "yaml";
import { ownFile } from "../server/config.ts";

const HEAD = ` Engines of this home, over those of data/engines.yaml: an entry here goes before one of the same id there, and null
 takes it away. \`oxbow engines\` writes it; so may you, and \`oxbow engines reload\` brings it to the server.`;

export interface OwnEngines {
  /** Puts an entry in, in place of one that is there. Null: the one of data/engines.yaml is not to run. */
  set(id: string, entry: object | null): void;
  /** Forgets what the file says about the id. */
  forget(id: string): void;
  /** What would be written. */
  text(): string;
  write(): void;
  /** Puts back what was there before `write`. */
  restore(): void;
}

export function openOwnEngines(home: string): OwnEngines {
  const file = ownFile(home);
  const before = existsSync(file) ? readFileSync(file, "utf8") : null;
  const document = before === null || before.trim() === "" ? new Document({ engines: {} }) : parseDocument(before);
  if (before === null) document.commentBefore = HEAD;
  if (!isMap(document.get("engines"))) document.set("engines", document.createNode({}));

  const save = (text: string) => {
    writeFileSync(`${file}.new`, text, { mode: 0o600 });
    renameSync(`${file}.new`, file); // never half of it
  };
  return {
    set: (id, entry) => document.setIn(["engines", id], entry === null ? null : document.createNode(entry)),
    forget: (id) => void document.deleteIn(["engines", id]),
    text: () => document.toString({ lineWidth: 120 }),
    write: () => save(document.toString({ lineWidth: 120 })),
    restore: () => (before === null ? rmSync(file, { force: true }) : save(before)),
  };
}
