// A disk that fills up, for real: a small file system of its own where one can be mounted, a limit on the size of files where
// not. What was acknowledged stays, nothing else is, and the ledger recovers by itself when there is room again.

import { expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LedgerUnavailable, openLedger, openUsage, rebuildUsage } from "./ledger.ts";
import { DAY, DONE, NOON, newEntry } from "./test-entry.ts";
import type { Told } from "./test-full.ts";

setDefaultTimeout(60_000);

const now = () => NOON;

function mountSmall(): string | null {
  const folder = mkdtempSync(join(tmpdir(), "oxbow-full-"));
  if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=3m", "none", folder]).status === 0) return folder;
  rmSync(folder, { recursive: true });
  return null;
}

/** Settles until the disk takes no more. @returns the requests whose settlement was acknowledged */
async function fill(ledger: Awaited<ReturnType<typeof openLedger>>): Promise<string[]> {
  const settled: string[] = [];
  for (;;) {
    const batch = Array.from({ length: 200 }, () => newEntry());
    const refused: unknown[] = [];
    for (const entry of batch) ledger.reserve(entry);
    const wait = async ({ requestId }: { requestId: string }) => {
      await ledger.settle(requestId, DONE).then(
        () => settled.push(requestId),
        (error) => refused.push(error),
      );
    };
    await Promise.all(batch.map(wait));
    if (refused.length === 0) continue;
    expect(refused.every((error) => error instanceof LedgerUnavailable)).toBe(true);
    expect(refused).toHaveLength(200);
    return settled;
  }
}

const mounted = mountSmall();

test.if(mounted !== null)(
  "a full file system: settlements wait or are refused, and it goes on when there is room",
  async () => {
    const home = mounted!;
    try {
      const ballast = join(home, "ballast");
      writeFileSync(ballast, new Uint8Array(1024 * 1024));
      const ledger = await openLedger({ home, now, settleMsMax: 100, retryMs: 20 });
      const heard: boolean[] = [];
      ledger.onHealth((healthy) => heard.push(healthy));
      const settled = await fill(ledger);
      expect(settled.length).toBeGreaterThan(200);
      expect(ledger.healthy()).toBe(false);
      expect(ledger.settled("acc-1", DAY)).toBe(settled.length);

      // One that comes while it is full waits, and is written when there is room before its time is over.
      const late = newEntry();
      ledger.reserve(late);
      rmSync(ballast);
      await ledger.settle(late.requestId, DONE);
      expect(ledger.healthy()).toBe(true);
      expect(heard).toEqual([false, true]);
      await ledger.flush();
      const { rows } = (await ledger.usage.rows({ accountId: "acc-1" }, { limit: 1000 }))!;
      // Those that were refused are void, and not counted when there was room again.
      expect(rows.filter(({ outcome }) => outcome === "interrupted").map(({ units }) => units)).toEqual(
        Array(200).fill(0),
      );
      await ledger.close();
      expect(settledIn(home)).toEqual(new Set([...settled, late.requestId]));
      expect(rebuildUsage(home)).toEqual([]);
    } finally {
      spawnSync("umount", [home]);
      rmSync(home, { recursive: true });
    }
  },
);

test("files that may not grow: the same, in a process whose limit is lifted again", async () => {
  const home = mkdtempSync(join(tmpdir(), "oxbow-full-"));
  const main = join(import.meta.dir, "test-full.ts");
  const child = Bun.spawn(["prlimit", "--fsize=2000000:unlimited", process.execPath, main, home], {
    stdout: "pipe",
    stderr: "inherit",
  });
  try {
    let told: Told | undefined;
    let rest = "";
    const lines = child.stdout.pipeThrough(new TextDecoderStream());
    for await (const text of lines) {
      rest += text;
      const at = rest.indexOf("\n");
      if (at < 0) continue;
      told = JSON.parse(rest.slice(0, at)) as Told;
      rest = rest.slice(at + 1);
      if (!told.healthy) spawnSync("prlimit", [`--pid=${child.pid}`, "--fsize=unlimited:unlimited"]);
    }
    expect(await child.exited).toBe(0);
    expect(told).toMatchObject({ healthy: true, otherErrors: 0 });
    expect(told!.refused).toBeGreaterThan(0);
    expect(settledIn(home)).toEqual(new Set(told!.settled));
    expect(rebuildUsage(home)).toEqual([]);
  } finally {
    child.kill("SIGKILL");
    rmSync(home, { recursive: true });
  }
});

test("it closes while the disk takes nothing, also in the middle of another attempt", async () => {
  const home = mkdtempSync(join(tmpdir(), "oxbow-full-"));
  const main = join(import.meta.dir, "test-close.ts");
  const limited = ["prlimit", "--fsize=2000000:unlimited", process.execPath, main, home];
  try {
    const child = Bun.spawn(limited, { stdout: "ignore", stderr: "inherit", timeout: 30_000 });
    expect(await child.exited).toBe(0);
    expect(rebuildUsage(home)).toEqual([]);
  } finally {
    rmSync(home, { recursive: true });
  }
});

function settledIn(home: string): Set<string> {
  const usage = openUsage(home)!;
  const settled = new Set<string>();
  for (let after: number | undefined; ; ) {
    const page = usage.rows({}, { limit: 1000, after })!;
    for (const row of page.rows) if (row.kind === "settle") settled.add(row.requestId);
    after = page.rows.at(-1)?.seq;
    if (!page.hasMore) break;
  }
  usage.close();
  return settled;
}
