import { afterAll, beforeAll, expect, test } from "bun:test";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { stringify } from "yaml";
import { ConfigError, loadConfig } from "../config.ts";

const scratch = mkdtempSync(join(tmpdir(), "oxbow-traffic-"));
beforeAll(() => cpSync(resolve(import.meta.dir, "../../data"), scratch, { recursive: true }));
afterAll(() => rmSync(scratch, { recursive: true }));
const file = join(scratch, "traffic.yaml");

function load(table: object) {
  writeFileSync(file, stringify(table));
  return loadConfig({ env: {}, dataDir: scratch, simulate: true }).traffic;
}
const M = "llama-3.3-70b";
const split = (...targets: object[]) => ({ splits: { [M]: { targets } } });
const half = { model: M, weight: 1 };

test("what is left out has its default, and a folder without the file has none of it", () => {
  const { splits, mirrors, record } = load({
    ...split(half, { model: "qwen-3-32b", weight: 2 }),
    mirrors: { [M]: { share: 0.5, to: { engine: "simulator" } } },
  });
  expect(splits).toEqual([{ model: M, sticky: "account", targets: [half, { model: "qwen-3-32b", weight: 2 }] }]);
  expect(mirrors).toEqual([{ model: M, share: 0.5, to: { engine: "simulator" }, callsMax: 2 }]);
  expect(record).toEqual({ accounts: [], bytesMax: 67_108_864, daysMax: 7 });
  rmSync(file);
  const none = { splits: [], mirrors: [], record };
  expect(loadConfig({ env: {}, dataDir: scratch }).traffic).toEqual(none);
  for (const text of ["", "# splits:\n#   m: {}\n", "\n  # no more\n\n"]) {
    writeFileSync(file, text);
    expect(loadConfig({ env: {}, dataDir: scratch }).traffic).toEqual(none);
  }
});

test.each([
  ["a model that is none", split(half, { model: "qwen-3-32", weight: 1 }), "did you mean qwen-3-32b?"],
  ["a split with one side", { splits: { [M]: { targets: [half] } } }, "must be a list of 2 or more"],
  ["a split of nothing", { splits: { nobody: { targets: [half, { model: "tiny", weight: 1 }] } } }, "splits 'nobody'"],
  [
    "a side that can do less",
    { splits: { "qwen-3-32b": { targets: [{ weight: 1 }, half] } } },
    `'${M}' lacks what qwen-3-32b can do: reasoning`,
  ],
  ["a side of another kind", split(half, { model: "whisper-large-v3", weight: 1 }), "of the category audio"],
  ["one side twice", split(half, { weight: 1 }), "is there twice"],
  ["one side", split(half), "targets"],
  ["no weight", split(half, { model: "qwen-3-32b", weight: 0 }), "weight"],
  ["an engine that is none", split(half, { engine: "e", weight: 1 }), "targets[1].engine must be one of"],
  ["a tag on no engine", split(half, { tag: "t", weight: 1 }), "targets[1].tag 't' is on no engine"],
  ["a mirror to nowhere", { mirrors: { [M]: { share: 1, to: {} } } }, `mirrors.${M}.to`],
  ["a share above all", { mirrors: { [M]: { share: 2, to: { engine: "simulator" } } } }, `mirrors.${M}.share`],
  [
    "a mirror to an engine that is none",
    { mirrors: { [M]: { share: 1, to: { engine: "e" } } } },
    `mirrors.${M}.to.engine`,
  ],
  ["a word that is none", { recordings: [] }, "recordings"],
])("%s is refused by its name", (_, table, said) => {
  let text = "";
  try {
    load(table);
  } catch (error) {
    if (error instanceof ConfigError) text = error.message;
  }
  expect(text).toStartWith(`${file}: `);
  expect(text).toContain(said);
});
