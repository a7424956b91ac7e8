// Finds the account that a person means by its name or its id.

import type { Kysely } from "kysely";
import { AccountsError } from "./errors.ts";
import type { AccountsTables } from "./migrations.ts";

/**
 * @param nameOrId the first admin account when left out
 * @throws AccountsError
 */
export async function findAccount(db: Kysely<AccountsTables>, nameOrId: string | undefined) {
  const all = db.selectFrom("accounts").selectAll().orderBy("created_at").orderBy("id");
  if (nameOrId === undefined) {
    const admin = await all.where("role", "=", "admin").executeTakeFirst();
    if (admin) return admin;
    throw new AccountsError("There is no account yet. Starting the server makes the first one.");
  }
  const account = await all
    .where((where) => where.or([where("id", "=", nameOrId), where("name", "=", nameOrId)]))
    .executeTakeFirst();
  if (account) return account;
  // What was typed may be a key: it is not repeated.
  throw new AccountsError("There is no account with this name or id. `oxbow accounts list` shows them.");
}
