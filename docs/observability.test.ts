import { expect, test } from "bun:test";
import { createMetrics } from "../server/metrics/metrics.ts";

test("docs/observability.md names every metric, with its labels, and no other", async () => {
  const metrics = createMetrics({
    version: "1",
    queues: () => [
      { model: "m", classes: [{ priority: "c", depth: 0, admitted: 0, shed: 0, expired: 0, cancelled: 0 }] },
    ],
    engines: () => [
      {
        id: "e",
        kind: "k",
        state: "warm",
        slots: 1,
        used: 0,
        share: 1,
        ejections: 0,
        load: { running: 0, waiting: 0, kvUsage: 0, work: 0 },
      },
    ],
    models: () => [{ id: "m", state: "warm" }],
    refusals: () => ({ requestsPerDay: 1 }),
    ledger: () => ({ healthy: true, waiting: 0, open: 0, openMs: null }),
    streams: () => 0,
    bodyBytes: () => 0,
    mirrors: () => [{ model: "m", counts: { compared: 1, dropped: 0 } }],
  });
  metrics.stop();
  const text = await metrics.render();
  const known = [...text.matchAll(/^# TYPE (\S+) \S+$/gm)].map(([, name]) => name!);
  const page = (await Bun.file(new URL("observability.md", import.meta.url)).text()).split("\n## The log")[0]!;
  const rows = [...page.matchAll(/^\| (`[^|]*) \|([^|]*)\|/gm)];
  expect(rows.flatMap(([, names]) => wordsOf(names!)).sort()).toEqual(known.sort());
  for (const [, names, labels] of rows) {
    if (labels!.trim() === "the same") continue;
    for (const name of wordsOf(names!)) {
      const line = text.match(new RegExp(`^${name}\\{(.*)\\} `, "m"))?.[1];
      if (line !== undefined) expect([name, ...namesIn(line)]).toEqual([name, ...wordsOf(labels!)]);
    }
  }
});

function wordsOf(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, word]) => word!);
}

function namesIn(labels: string): string[] {
  return [...labels.matchAll(/(\w+)="/g)].map(([, name]) => name!).filter((name) => name !== "le");
}
