import { Database } from "bun:sqlite";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Kysely } from "kysely";
import { openStore, type Store } from "./store.ts";

type Tables = { notes: { id: number; text: string } };

const migrations = {
  "0001_notes": {
    up: async (db: Kysely<unknown>) => {
      await db.schema
        .createTable("notes")
        .addColumn("id", "integer", (column) => column.primaryKey())
        .addColumn("text", "text", (column) => column.notNull())
        .execute();
    },
  },
};

let folder: string;
let home: string;
let store: Store;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "oxbow-store-"));
  home = join(folder, "deep", "home");
  store = await openStore(home);
  await store.migrate("test", migrations);
});

afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

const notes = () => store.db.$extendTables<Tables>();
async function tables(): Promise<string[]> {
  const all = (await store.db.introspection.getTables()).map((table) => table.name);
  return all.filter((name) => !name.startsWith("migrations_")).sort();
}
/** Another process, as far as SQLite can tell. */
const elsewhere = () => new Database(join(home, "core.db"));

test("a new home, and the file in it, are for their owner alone", () => {
  expect(statSync(home).mode & 0o777).toBe(0o700);
  for (const file of ["core.db", "core.db-wal"]) expect(statSync(join(home, file)).mode & 0o777).toBe(0o600);
});

test("what was written is there after opening again, and migrations run once", async () => {
  await notes().insertInto("notes").values({ id: 1, text: "kept" }).execute();
  await store.close();
  store = await openStore(home);
  await store.migrate("test", migrations);
  expect(store.read(notes().selectFrom("notes").selectAll())).toEqual([{ id: 1, text: "kept" }]);
});

test("insert, update and delete say what they returned and how many rows they touched", async () => {
  const inserted = await notes().insertInto("notes").values({ id: 7, text: "a" }).returning("text").executeTakeFirst();
  expect(inserted).toEqual({ text: "a" });
  const updated = await notes().updateTable("notes").set({ text: "b" }).where("id", "=", 7).executeTakeFirst();
  expect(updated.numUpdatedRows).toBe(1n);
  const streamed: unknown[] = [];
  for await (const row of notes().selectFrom("notes").selectAll().stream()) streamed.push(row);
  expect(streamed).toEqual([{ id: 7, text: "b" }]);
});

test("a transaction that throws leaves nothing behind", async () => {
  const failing = notes()
    .transaction()
    .execute(async (tx) => {
      await tx.insertInto("notes").values({ id: 1, text: "gone" }).execute();
      throw new Error("no");
    });
  await expect(failing).rejects.toThrow("no");
  expect(store.read(notes().selectFrom("notes").selectAll())).toEqual([]);
});

test("a transaction that reads first and writes later is not overtaken by another process", async () => {
  const other = elsewhere();
  other.run("PRAGMA busy_timeout = 0");
  await notes()
    .transaction()
    .execute(async (tx) => {
      await tx.selectFrom("notes").selectAll().execute();
      expect(() => other.run("INSERT INTO notes VALUES (2, 'theirs')")).toThrow("locked");
      await tx.insertInto("notes").values({ id: 1, text: "ours" }).execute();
    });
  other.close();
  expect(store.read(notes().selectFrom("notes").select("text"))).toEqual([{ text: "ours" }]);
});

test("it knows when another connection has written, and only then", async () => {
  expect(store.changedElsewhere()).toBe(false);
  await notes().insertInto("notes").values({ id: 1, text: "own" }).execute();
  expect(store.changedElsewhere()).toBe(false);
  const other = elsewhere();
  other.run("INSERT INTO notes VALUES (2, 'theirs')");
  other.close();
  expect(store.changedElsewhere()).toBe(true);
  expect(store.changedElsewhere()).toBe(false);
});

test("a migration that fails half-way leaves nothing behind", async () => {
  const broken = {
    ...migrations,
    "0002_broken": {
      up: async (db: Kysely<unknown>) => {
        await db.schema.createTable("half").addColumn("id", "integer").execute();
        throw new Error("half-way");
      },
    },
  };
  await expect(store.migrate("test", broken)).rejects.toThrow("half-way");
  expect(await tables()).toEqual(["notes"]);
});

test("rooms have lists of migrations of their own", async () => {
  const later = {
    "0000_early_name": { up: (db: Kysely<unknown>) => db.schema.createTable("b").addColumn("id", "text").execute() },
  };
  await store.migrate("other", later);
  await store.migrate("test", migrations);
  expect(await tables()).toEqual(["b", "notes"]);
});

test("a home written by a newer version is refused", async () => {
  await store.migrate("test", { ...migrations, "0002_from_the_future": { up: async () => {} } });
  await expect(store.migrate("test", migrations)).rejects.toThrow(
    "was written by a newer version of Oxbow. Update this one",
  );
});

test("a home that is a file, or that cannot be made, is refused in one line that names it", async () => {
  const file = join(folder, "file");
  writeFileSync(file, "");
  await expect(openStore(file)).rejects.toThrow(`The home ${file} is not a folder (EEXIST). Choose another folder`);
  await expect(openStore(join(file, "below"))).rejects.toThrow("is not a folder (ENOTDIR). Choose another folder");
  // Nobody can make a folder there, not even root.
  await expect(openStore("/proc/oxbow")).rejects.toThrow(
    /^The home \/proc\/oxbow cannot be written \(E[A-Z]+\)\. Make it writable/,
  );
});

test("a damaged database is told apart from one that cannot be written", async () => {
  const damaged = join(folder, "damaged");
  await (await openStore(damaged)).close();
  writeFileSync(join(damaged, "core.db"), "not a database at all ".repeat(100));
  await expect(openStore(damaged)).rejects.toThrow(
    "holds a damaged database (SQLITE_NOTADB). Restore it from a backup",
  );
});
