import { expect, test } from "bun:test";
import { RECORD as ANSWERED } from "./metrics/fixtures.ts";
import { createRequestLog } from "./request-log.ts";

const RECORD = { ...ANSWERED, waitedMs: 4.26, firstTokenMs: 30.04 };

test("a request is one line, in the words of the log", () => {
  const written: string[] = [];
  const log = createRequestLog({ write: (text) => written.push(text), probes: false, now: () => 1_700_000_000_000 });
  log.add(RECORD);
  log.add({ ...RECORD, status: 429, code: "queue_full", outcome: "", engine: "", waitedMs: null, firstTokenMs: null });
  expect(written).toEqual([]);
  log.flush();
  expect(written.length).toBe(1);
  const lines = written[0]!.trimEnd().split("\n");
  expect(lines[0]).toBe(
    '{"level":30,"time":1700000000000,"request":"req_0","method":"POST","endpoint":"/v1/chat/completions","status":200,"account":"acct_canary","key":"key_canary","plan":"pro@2026","model":"m","class":"high","engine":"e","stream":true,"outcome":"complete","units":1,"queueMs":4.3,"ttftMs":30,"durationMs":130,"tokensIn":7,"tokensOut":11,"retries":0,"msg":"request"}',
  );
  expect(JSON.parse(lines[1]!)).toMatchObject({ status: 429, code: "queue_full" });
  expect(lines[1]).not.toContain("outcome");
});

test("lines come by themselves, and many of them without waiting", async () => {
  const some = Promise.withResolvers<string>();
  const log = createRequestLog({ write: some.resolve, probes: false, now: Date.now });
  log.add(RECORD);
  expect(await some.promise).toEndWith("}\n");
  let count = 0;
  const busy = createRequestLog({
    write: (text) => (count += text.split("\n").length - 1),
    probes: false,
    now: Date.now,
  });
  for (let each = 0; each < 1_000; each++) busy.add(RECORD);
  expect(count).toBeGreaterThanOrEqual(768);
  busy.flush();
  expect(count).toBe(1_000);
});

test("probes are left out unless they are asked for", () => {
  for (const probes of [false, true]) {
    let text = "";
    const log = createRequestLog({ write: (each) => (text += each), probes, now: Date.now });
    for (const endpoint of ["/health", "/ready", "/metrics"]) log.add({ ...RECORD, endpoint });
    log.flush();
    expect(text.split("\n").length - 1).toBe(probes ? 3 : 0);
  }
});
