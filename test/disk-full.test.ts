// A disk that is full: nothing is accepted or finished that could not be counted, and it passes by itself.

import { afterAll, expect, test } from "bun:test";
import { openUsage } from "../server/ledger/ledger.ts";
import { dataWith, simulatorAlone } from "./data.ts";
import { whileDiskIsFull } from "./disk.ts";
import { eventually, KEY, startServer } from "./harness.ts";
import { HELLO, MODEL, testTraffic, useServer } from "./suite.ts";

const data = dataWith(simulatorAlone);
afterAll(data.remove);
const server = useServer({ simulate: true, env: { OXBOW_DATA: data.folder, OXBOW_SETTLE_MS_MAX: "500" } });

async function send(fields: object): Promise<{ status: number; text: string }> {
  const response = await fetch(`${server().baseUrl}/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
    body: JSON.stringify({ model: MODEL, messages: HELLO, ...fields }),
  });
  return { status: response.status, text: await response.text() };
}
const readyOf = async (port: number) => (await fetch(`http://127.0.0.1:${port}/ready`)).status;
const waiting = async (port: number) => {
  const page = await fetch(`http://127.0.0.1:${port}/metrics`, { headers: { authorization: `Bearer ${KEY}` } });
  return Number(/^oxbow_ledger_waiting (\d+)$/m.exec(await page.text())?.[1]);
};
const ready = () => readyOf(server().port);

test("while the disk is full no stream ends well, no call is taken, and the server is not ready; then all is well", async () => {
  const running = send({ stream: true, x_simulate: { tokens: 20, itlMs: 30 } });
  await Bun.sleep(200);
  await whileDiskIsFull(server().pid, async () => {
    const { text } = await running;
    expect(text).toContain('"finish_reason":null');
    expect(text).not.toContain('"finish_reason":"');
    expect(text).not.toContain("[DONE]");
    expect(text).toContain('"code":"ledger_unavailable"');
    await eventually(async () => (await ready()) === 503, "the server says that it is not ready");
    const refused = await send({});
    expect(refused.status).toBe(503);
    expect(refused.text).toContain('"code":"ledger_unavailable"');
    expect((await fetch(`http://127.0.0.1:${server().port}/health`)).status).toBe(200);
  });
  await eventually(async () => (await ready()) === 200, "the server is ready again");
  expect((await send({})).status).toBe(200);
  expect((await send({ stream: true })).text).toEndWith("data: [DONE]\n\n");
});

test("a caller who hangs up while his end waits for the disk is told of as the ledger has him", async () => {
  const env = { OXBOW_DATA: data.folder };
  const patient = await startServer({ simulate: true, env });
  const hasty = await startServer({ simulate: true, env: { ...env, OXBOW_SETTLE_MS_MAX: "500" } });
  try {
    for (const [each, outcome] of [
      [patient, "complete"],
      [hasty, "interrupted"],
    ] as const) {
      const log = () =>
        each
          .logs()
          .split("\n")
          .filter((line) => line.includes('"endpoint":"/v1/chat/completions"'));
      await whileDiskIsFull(each.pid, async () => {
        const response = await fetch(`http://127.0.0.1:${each.port}/v1/chat/completions`, {
          method: "POST",
          headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
          body: JSON.stringify({ model: MODEL, messages: HELLO, stream: true, x_simulate: { tokens: 5, itlMs: 40 } }),
        });
        const reader = response.body!.getReader();
        await reader.read();
        await eventually(async () => (await waiting(each.port)) === 2, "reservation and end wait for the disk");
        await reader.cancel();
        // To the hasty one the disk comes too late.
        if (outcome === "interrupted") await eventually(() => log().length > 0, "it has ended");
      });
      await eventually(async () => (await readyOf(each.port)) === 200, "the ledger writes again");
      await eventually(() => log().length > 0, "it is logged");
      expect(log().map((line) => JSON.parse(line).outcome)).toEqual([outcome]);
      const usage = openUsage(each.home)!;
      expect(usage.rows({}, { limit: 10 })!.rows.map((row) => row.outcome as string)).toEqual([outcome]);
      usage.close();
    }
  } finally {
    await patient.stop();
    await hasty.stop();
  }
});

testTraffic(server);
