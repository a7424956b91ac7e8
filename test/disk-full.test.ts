// A disk that is full: nothing is accepted or finished that could not be counted, and it passes by itself.

import { afterAll, expect, test } from "bun:test";
import { dataWith, simulatorAlone } from "./data.ts";
import { whileDiskIsFull } from "./disk.ts";
import { eventually, KEY } from "./harness.ts";
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
const ready = async () => (await fetch(`http://127.0.0.1:${server().port}/ready`)).status;

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

testTraffic(server);
