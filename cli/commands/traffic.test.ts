// `oxbow traffic`: what it shows, and what a running server makes of a change while it is being called.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { stringify } from "yaml";
import { oxbow, up } from "../fixtures.ts";

setDefaultTimeout(60_000);

const ASKED = "llama-3.3-70b";
const OTHER = "qwen-3-32b";
const KEY = "oxb_test_traffic_0000000000000000000000";
let folder: string;
let home: string;
let env: Record<string, string>;
let server: Awaited<ReturnType<typeof up>>;

const file = () => join(folder, "data", "traffic.yaml");
const say = (table: object) => writeFileSync(file(), stringify(table));
const run = (...args: string[]) => oxbow(home, args, env);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "oxbow-traffic-"));
  home = join(folder, "home");
  cpSync(resolve(import.meta.dir, "../../data"), join(folder, "data"), { recursive: true });
  mkdirSync(home);
  env = { OXBOW_DATA: join(folder, "data") };
  server = await up(home, { ...env, OXBOW_BOOTSTRAP_KEY: KEY });
});
afterAll(async () => {
  await server.stop();
  rmSync(folder, { recursive: true });
});

function call(more: object = {}): Promise<Response> {
  return fetch(`${server.url}/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
    body: JSON.stringify({ model: ASKED, messages: [{ role: "user", content: "Hello" }], ...more }),
  });
}
/** The models that answer twenty users. */
async function models(): Promise<Set<string>> {
  const answers = Array.from({ length: 20 }, async (_, index) => {
    const { model } = (await (await call({ user: `user-${index}` })).json()) as { model: string };
    return model;
  });
  return new Set(await Promise.all(answers));
}

test("a split, a mirror and a recording hold as soon as the command has said so, and are shown", async () => {
  expect(await run("traffic", "list")).toEqual({
    code: 0,
    out: "",
    err: "Nothing is split, mirrored or recorded.\n",
  });
  const long = await call({ stream: true, x_simulate: { tokens: 60, itlMs: 50 } });
  say({
    splits: { [ASKED]: { sticky: "user", targets: [{ weight: 3 }, { model: OTHER, weight: 1 }] } },
    // What only a simulation has may be named: the command does not know how the server was started.
    mirrors: { [OTHER]: { share: 0.005, to: { engine: "simulator" } } },
    record: { accounts: ["admin"] },
  });
  const { code, err } = await run("traffic", "reload");
  expect([code, err]).toEqual([
    0,
    `The server (pid ${server.pid}) goes by traffic.yaml as it is now: split ${ASKED}, mirror ${OTHER}, record admin.\nNo account has the id admin: nothing is recorded for it.\n`,
  ]);
  expect(await models()).toEqual(new Set([ASKED, OTHER]));
  const { out } = await run("traffic", "list");
  expect(
    out
      .trimEnd()
      .split("\n")
      .map((line) => line.split(/ {2,}/)),
  ).toEqual([
    ["WHAT", "OF", "SHARE", "TO"],
    ["split by user", ASKED, "75 %", ASKED],
    ["split by user", ASKED, "25 %", OTHER],
    ["mirror", OTHER, "0.5 %", `${OTHER} engine:simulator`],
    ["record", "account admin", "100 %", "traffic/recording.jsonl"],
  ]);
  expect(JSON.parse((await run("traffic", "list", "--json")).out).splits[0].model).toBe(ASKED);
  expect(await long.text()).toEndWith("data: [DONE]\n\n");
});

test("a file with an error changes nothing, drops nothing, and is told by entry and field, also beside another reload", async () => {
  const long = await call({ stream: true, x_simulate: { tokens: 60, itlMs: 50 } });
  say({ splits: { [ASKED]: { targets: [{ weight: 1 }, { engine: "gone", weight: 1 }] } } });
  const why = `${file()}: splits.${ASKED}.targets[1].engine must be one of tiny, simulator, but is 'gone'`;
  expect(await run("traffic", "reload")).toEqual({
    code: 1,
    out: "",
    err: `oxbow: The table of traffic of before stays in force: ${why}\n`,
  });
  expect(await models()).toEqual(new Set([ASKED, OTHER]));
  const plans = await run("plans", "reload");
  expect([plans.code, plans.err]).toEqual([
    0,
    expect.stringContaining(`Beside it, the table of traffic of before stays in force: ${why}\n`),
  ]);
  writeFileSync(file(), "splits: [\n");
  expect((await run("traffic", "reload")).err).toContain(`stays in force: ${file()}`);
  say({});
  const { code, out } = await run("traffic", "reload", "--json");
  expect([code, JSON.parse(out)]).toEqual([0, expect.objectContaining({ pid: server.pid, traffic: [] })]);
  expect(await models()).toEqual(new Set([ASKED]));
  expect(await long.text()).toEndWith("data: [DONE]\n\n");
});

test("an engine that a split names is not removed: the next start would be refused", async () => {
  say({ splits: { [ASKED]: { targets: [{ weight: 1 }, { engine: "tiny", weight: 1 }] } } });
  const { code, err } = await run("engines", "remove", "tiny");
  expect([code, err]).toEqual([
    1,
    expect.stringContaining(`splits.${ASKED}.targets[1].engine must be one of simulator`),
  ]);
  say({});
  expect((await run("engines", "remove", "tiny")).code).toBe(0);
});

test("without a server nothing is reloaded, and that is said", async () => {
  const gone = join(folder, "gone");
  expect(await oxbow(gone, ["traffic", "reload"], env)).toEqual({
    code: 3,
    out: "",
    err: `oxbow: No server runs on the home ${gone}. It reads the table of traffic when it starts.\n`,
  });
});
