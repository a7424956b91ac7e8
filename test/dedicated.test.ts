// Engines that are there for some accounts alone, added while the server runs.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { dataWith } from "./data.ts";
import { type RunningServer, startServer } from "./harness.ts";
import { makeMember, oxbow } from "./members.ts";
import { type Simulator, startSimulator } from "./simulators.ts";

setDefaultTimeout(60_000);

/** One that every plan has; and one that only the owner's engine serves. */
const MODEL = "mistral-7b";
const OWN_MODEL = "gemma-3-4b";

let common: Simulator;
let own: Simulator;
let server: RunningServer;
let removeData: () => void;
const keys: Record<string, string> = {};

beforeAll(async () => {
  common = await startSimulator({ models: [MODEL], slots: 1, options: { dress: "vllm" } });
  own = await startSimulator({ models: [MODEL, OWN_MODEL], slots: 2, options: { dress: "vllm" } });
  const data = dataWith((table) => {
    table.engines = { common: { kind: "vllm", url: common.url, models: [{ id: MODEL }], slots: 1 } };
  });
  removeData = data.remove;
  server = await startServer({ env: { OXBOW_DATA: data.folder, OXBOW_SLOW_START_MS: "0" } });
  for (const who of ["owner", "other"]) keys[who] = await makeMember(server.home, who, "pro");
  const accounts = JSON.parse(await oxbow(server.home, ["accounts", "list", "--json"])) as {
    id: string;
    name: string;
  }[];
  const { id } = accounts.find(({ name }) => name === "owner")!;
  const models = [MODEL, OWN_MODEL].flatMap((model) => ["--model", model]);
  const add = [
    "engines",
    "add",
    "own",
    "--kind",
    "vllm",
    "--url",
    own.url,
    "--slots",
    "2",
    "--accounts",
    id,
    ...models,
  ];
  process.env.OXBOW_DATA = data.folder;
  await oxbow(server.home, add);
  delete process.env.OXBOW_DATA;
}, 90_000);
afterAll(async () => {
  await server?.stop();
  await Promise.all([common?.stop(), own?.stop()]);
  removeData?.();
});

const call = (who: string, model: string, ms = 0) =>
  fetch(`http://127.0.0.1:${server.port}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${keys[who]}`, "content-type": "application/json" },
    body: JSON.stringify({
      model,
      messages: [{ role: "user", content: "Hello" }],
      x_simulate: { ttftMs: ms, tokens: 2 },
    }),
  });
const served = async (engine: Simulator) => (await engine.metrics())["vllm:request_success_total"] ?? 0;

test("calls of the account go to its engine first, and to the others when that is full; others never go there", async () => {
  const before = await served(own);
  for (let turn = 0; turn < 5; turn++) expect((await call("owner", MODEL)).status).toBe(200);
  expect(await served(own)).toBe(before + 5);
  const shared = await served(common);
  for (let turn = 0; turn < 5; turn++) expect((await call("other", MODEL)).status).toBe(200);
  expect([await served(own), await served(common)]).toEqual([before + 5, shared + 5]);
  const many = await Promise.all([1, 2, 3].map(() => call("owner", MODEL, 300)));
  expect(many.map(({ status }) => status)).toEqual([200, 200, 200]);
  expect([await served(own), await served(common)]).toEqual([before + 7, shared + 6]);
});

test("the owner does not wait behind those who have no such engine", async () => {
  const order: string[] = [];
  const note = (who: string) => (response: Response) => void order.push(`${who} ${response.status}`);
  const others = [1, 2, 3].map(() => call("other", MODEL, 500).then(note("other")));
  await Promise.all([...others, call("owner", MODEL, 50).then(note("owner"))]);
  expect(order[0]).toBe("owner 200");
});

test("a model that only such an engine serves is there for its account, and for nobody else", async () => {
  expect((await call("owner", OWN_MODEL)).status).toBe(200);
  const refused = await call("other", OWN_MODEL);
  expect([refused.status, await refused.json()]).toMatchObject([404, { error: { code: "model_not_found" } }]);
});
