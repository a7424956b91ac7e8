// When each key was last used, written down in batches: a courtesy to whoever lists keys, not worth a write a request.

import type { Kysely } from "kysely";
import type { AccountsTables } from "./migrations.ts";

export function createLastUsed(db: Kysely<AccountsTables>, delayMs: number) {
  let uses = new Map<string, number>();
  let timer: ReturnType<typeof setTimeout> | undefined;

  function note(keyId: string, at: number): void {
    uses.set(keyId, at);
    if (timer !== undefined) return;
    timer = setTimeout(() => void flush(), delayMs);
    timer.unref();
  }

  async function flush(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    const batch = uses;
    uses = new Map();
    if (batch.size === 0) return;
    try {
      await db.transaction().execute(async (transaction) => {
        for (const [id, at] of batch) {
          await transaction.updateTable("api_keys").set({ last_used_at: at }).where("id", "=", id).execute();
        }
      });
    } catch {
      // Not worth failing anything for. The same keys will be used again, and the next batch has later times.
    }
  }

  return { note, flush };
}
