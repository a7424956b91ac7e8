// The database file of what must be kept: opens it, brings it up to date, offers queries and transactions, and says when
// another process has written to it. Holds no query itself: tables and their SQL belong to the rooms.

import { Database, type SQLQueryBindings } from "bun:sqlite";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { type Compilable, Kysely } from "kysely";
import { type Migration, Migrator } from "kysely/migration";
import { bunSqliteDialect } from "./dialect.ts";
import { asHomeError, HomeError, prepareHome } from "./home.ts";

export { asHomeError, HomeError, type HomeLock, lockHome, prepareHome, serverOn } from "./home.ts";

type NoTables = Record<never, never>;

export interface Store {
  /** A room adds its own tables to the type: `store.db.$extendTables<MyTables>()`. */
  db: Kysely<NoTables>;
  /**
   * The rows of a query, at once. For the few reads on the path of a request: Kysely's own `execute` takes a promise
   * and a turn for the connection.
   */
  read<Row>(query: Compilable<Row>): Row[];
  /** Whether another process has written since the last time this was asked. A few microseconds. */
  changedElsewhere(): boolean;
  /**
   * Runs what is new among a room's migrations, each in a transaction. Forward only.
   * @param migrations by name, in alphabetical order
   * @throws HomeError when the file was written by a newer version
   */
  migrate(room: string, migrations: Record<string, Migration>): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens `core.db` in `home`; makes both when they are missing.
 * @throws HomeError when the folder or the file cannot be used
 */
export async function openStore(home: string): Promise<Store> {
  prepareHome(home);
  const file = join(home, "core.db");
  let database: Database;
  try {
    // SQLite gives its side files the rights of the main one, and would make that one readable for all.
    closeSync(openSync(file, "a", 0o600));
    database = new Database(file);
    await setUp(database);
  } catch (cause) {
    throw asHomeError(home, cause);
  }
  const db = new Kysely<NoTables>({ dialect: bunSqliteDialect(database) });
  const version = database.query<{ data_version: number }, []>("PRAGMA data_version");
  let seen = version.get()!.data_version;

  return {
    db,
    read: <Row>(query: Compilable<Row>) => {
      const { sql, parameters } = query.compile();
      return database.query<Row, SQLQueryBindings[]>(sql).all(...(parameters as SQLQueryBindings[]));
    },
    changedElsewhere: () => {
      const now = version.get()!.data_version;
      const changed = now !== seen;
      seen = now;
      return changed;
    },
    migrate: (room, migrations) => migrate(db, home, room, migrations),
    close: () => db.destroy(),
  };
}

/** Synchronous in full: writes are rare here, and a revoked key must not come back to life with a power cut. */
async function setUp(database: Database): Promise<void> {
  database.run("PRAGMA busy_timeout = 5000");
  await setWal(database);
  database.run("PRAGMA synchronous = FULL");
  database.run("PRAGMA foreign_keys = ON");
}

/** The first change to WAL needs the file alone and does not wait for its turn, so two first starts can collide. */
async function setWal(database: Database): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      database.run("PRAGMA journal_mode = WAL");
      return;
    } catch (error) {
      const busy = error instanceof Error && "code" in error && error.code === "SQLITE_BUSY";
      if (!busy || attempt === WAL_ATTEMPTS_MAX) throw error;
      await Bun.sleep(WAL_RETRY_MS);
    }
  }
}

const WAL_ATTEMPTS_MAX = 100;
const WAL_RETRY_MS = 20;

async function migrate(
  db: Kysely<NoTables>,
  home: string,
  room: string,
  migrations: Record<string, Migration>,
): Promise<void> {
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => migrations },
    // A list for each room, so that no room's next migration has to fit between another's.
    migrationTableName: `migrations_${room}`,
    migrationLockTableName: `migrations_${room}_lock`,
  });
  const { error } = await migrator.migrateToLatest();
  if (error === undefined) return;
  // Kysely's words for a migration in the file that this version does not know.
  if (error instanceof Error && / previously executed migration \S+ is missing$/.test(error.message)) {
    const text = `The home ${home} was written by a newer version of Oxbow. Update this one, or choose another folder with OXBOW_HOME or --home.`;
    throw new HomeError(text, { cause: error });
  }
  throw asHomeError(home, error);
}
