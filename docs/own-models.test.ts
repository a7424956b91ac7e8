// The entries for a model of one's own that the pages show are entries that the server takes.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { loadConfig } from "../server/config.ts";
import { dataWith } from "../test/data.ts";

/** What the page shows of a table, put together. */
function shown(page: string, table: string): Record<string, Record<string, unknown>> {
  const text = readFileSync(join(import.meta.dir, page), "utf8");
  const blocks = [...text.matchAll(/```yaml\n(# data\/(\w+)\.yaml[\s\S]*?)```/g)].filter(
    ([, , name]) => name === table,
  );
  return Object.assign({}, ...blocks.map(([, block]) => parse(block!) as object));
}

test.each(["embeddings.md", "detection.md"])("%s", (page) => {
  const engines = shown(page, "engines");
  const models = shown(page, "models");
  expect(Object.keys(engines)).not.toBeEmpty();
  expect(Object.keys(models)).not.toBeEmpty();
  const data = dataWith(
    (table) => {
      table.engines = engines;
    },
    undefined,
    (table) => void Object.assign(table, models),
  );
  try {
    const config = loadConfig({ env: {}, dataDir: data.folder });
    expect(config.engines.map(({ id }) => id)).toEqual(Object.keys(engines));
    for (const [id, { detection, embedding }] of Object.entries(models)) {
      expect(config.models.find((model) => model.id === id)).toMatchObject({
        ...(embedding ? { embedding } : {}),
        ...(detection ? { detection } : {}),
      });
    }
  } finally {
    data.remove();
  }
});
