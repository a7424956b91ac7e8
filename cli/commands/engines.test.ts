// `oxbow engines`: what it says, what it writes, and what a running server makes of it while it is being called.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../../test/harness.ts";
import { type Simulator, startSimulator } from "../../test/simulators.ts";
import { oxbow, up } from "../fixtures.ts";

setDefaultTimeout(60_000);

const MODEL = "mistral-7b";
let folder: string;
let home: string;
let server: Awaited<ReturnType<typeof up>>;
let first: Simulator;
let second: Simulator;
let key: string;

const run = (...args: string[]) => oxbow(home, args, { OXBOW_API_KEY: key, OXBOW_BASE_URL: server.url });
const file = () => join(home, "engines.yaml");

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "oxbow-engines-"));
  home = join(folder, "home");
  mkdirSync(home);
  first = await startSimulator({ models: ["org/mistral"], options: { dress: "vllm" } });
  second = await startSimulator({ models: ["org/mistral"], options: { dress: "vllm" } });
  key = "oxb_test_engines_0000000000000000000000";
  server = await up(home, { OXBOW_BOOTSTRAP_KEY: key });
});
afterAll(async () => {
  await server.stop();
  await Promise.all([first.stop(), second.stop()]);
  rmSync(folder, { recursive: true });
});

function call(more: object = {}): Promise<Response> {
  return fetch(`${server.url}/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({ model: MODEL, messages: [{ role: "user", content: "Hello" }], ...more }),
  });
}
interface Listed {
  id: string;
  state: string;
  used: number;
  models: string[];
  url?: string;
}
const listed = async () => JSON.parse((await run("engines", "list", "--json")).out) as Listed[];
const calls = async (engine: Simulator) => (await engine.metrics())["vllm:request_success_total"] ?? 0;

/** Calls all the time until `done` has ended; each of them must be answered. */
async function underCalls(done: () => Promise<void>): Promise<number> {
  let over = false;
  let count = 0;
  const callers = Array.from({ length: 6 }, async () => {
    while (!over) {
      const answer = await call({ x_simulate: { tokens: 8, itlMs: 5 } });
      expect([answer.status, await answer.text()]).toEqual([200, expect.stringContaining('"model":"mistral-7b"')]);
      count++;
    }
  });
  await done().finally(() => {
    over = true;
  });
  await Promise.all(callers);
  return count;
}

test("an engine is added under calls: it is asked what it is, told, written down, and gets the calls from then on", async () => {
  const answered = await underCalls(async () => {
    const { code, out, err } = await run(
      ...["engines", "add", "far", "--kind", "vllm", "--url", first.url, "--slots", "16"],
      ...["--model", `${MODEL}=org/mistral`, "--tags", "eu,a100", "--json"],
    );
    expect([code, err]).toEqual([0, expect.stringContaining("answers and says that it is well")]);
    expect(err).toContain("models     ");
    expect(err).toContain("metrics    yes: its load is followed");
    expect(err).toContain("priority   no: only our own line goes by it");
    expect(err).toMatch(/The engine far is added\. The server \(pid \d+\) knows\.\n$/);
    expect(JSON.parse(out)).toMatchObject({ id: "far", pid: server.pid, found: { healthy: true, metrics: true } });
    await eventually(async () => (await calls(first)) >= 20, "it has had calls");
  });
  expect(answered).toBeGreaterThan(20);
  expect(readFileSync(file(), "utf8")).toContain("name: org/mistral");
  const far = (await listed()).find(({ id }) => id === "far");
  expect(far).toMatchObject({ state: "warm", kind: "vllm", url: first.url, models: [MODEL], tags: ["eu", "a100"] });
  expect((await run("engines", "list")).out).toMatch(
    /^far +vllm +http:\S+ +mistral-7b +0\/16 +1 +\d\+\d +warm, \d+ % of its share$/m,
  );
});

test("a drained engine finishes what it has begun, and gets nothing more until that is undone", async () => {
  expect(
    (await run("engines", "add", "near", "--kind", "vllm", "--url", second.url, "--model", `${MODEL}=org/mistral`))
      .code,
  ).toBe(0);
  const streams = await Promise.all(
    Array.from({ length: 8 }, (_, seed) =>
      call({ stream: true, x_simulate: { tokens: 120, itlMs: 100 }, prompt_cache_key: `conversation ${seed}` }),
    ),
  );
  const before = (await listed()).find(({ id }) => id === "far")!.used;
  expect(before).toBeGreaterThanOrEqual(1);
  await underCalls(async () => {
    expect((await run("engines", "drain", "far")).err).toBe(
      `The engine far drains: it gets no more calls. The server (pid ${server.pid}) knows.\n`,
    );
    expect((await listed()).find(({ id }) => id === "far")).toMatchObject({ state: "draining" });
    // Streams of before may end meanwhile; nothing new begins.
    const prompts = async () => (await first.metrics())["vllm:prompt_tokens_total"];
    const then = await prompts();
    const elsewhere = await calls(second);
    await eventually(async () => (await calls(second)) >= elsewhere + 20, "the other engine has had many calls");
    expect(await prompts()).toBe(then);
  });
  for (const stream of streams) expect(await stream.text()).toEndWith("data: [DONE]\n\n");
  expect((await listed()).find(({ id }) => id === "far")).toMatchObject({ state: "draining", used: 0 });
  await underCalls(async () => {
    expect((await run("engines", "drain", "far", "--undo")).code).toBe(0);
    const then = await calls(first);
    await eventually(async () => (await calls(first)) >= then + 5, "it has calls again");
  });
});

test("a removed engine ends when its last call has, and its models go where they went before", async () => {
  const stream = await call({ stream: true, x_simulate: { tokens: 30, itlMs: 50 } });
  await underCalls(async () => {
    for (const id of ["far", "near"]) expect((await run("engines", "remove", id)).code).toBe(0);
    expect((await listed()).map(({ id }) => id)).toEqual(["tiny", "simulator"]);
  });
  expect(await stream.text()).toEndWith("data: [DONE]\n\n");
  expect((await call()).headers.get("x-oxbow-simulated")).toBe("true");
});

test("an engine that does not answer, or does not serve the model, is not added unless forced", async () => {
  const text = readFileSync(file(), "utf8");
  const base = ["engines", "add", "none", "--kind", "vllm", "--model", MODEL];
  const gone = await run(...base, "--url", "http://127.0.0.1:1/v1");
  expect([gone.code, gone.err]).toEqual([
    1,
    expect.stringContaining("at http://127.0.0.1:1/v1 cannot be used. It does not answer: "),
  ]);
  const other = await run(...base, "--url", first.url);
  expect([other.code, other.err]).toEqual([1, expect.stringContaining(`It does not serve ${MODEL}`)]);
  const wrong = await run(...base.slice(0, -1), "no-such-model", "--url", first.url);
  expect(wrong.err).toContain(`${file()}: engines.none.models[0].id 'no-such-model' is not in models.yaml`);
  expect(readFileSync(file(), "utf8")).toBe(text);
  expect((await run(...base, "--url", "http://127.0.0.1:1/v1", "--force")).code).toBe(0);
  expect((await listed()).find(({ id }) => id === "none")).toMatchObject({ state: "loading" });
  expect((await run("engines", "remove", "none")).code).toBe(0);
});

test("an engine for one account alone takes the account's name, and none that is not there", async () => {
  const base = ["engines", "add", "own", "--kind", "vllm", "--model", `${MODEL}=org/mistral`, "--url", first.url];
  const text = readFileSync(file(), "utf8");
  const nobody = await run(...base, "--accounts", "nobody");
  expect([nobody.code, nobody.err]).toEqual([1, expect.stringContaining("There is no account with this name or id.")]);
  expect(readFileSync(file(), "utf8")).toBe(text);
  const id = (JSON.parse((await run("accounts", "show", "admin", "--json")).out) as { id: string }).id;
  expect((await run(...base, "--accounts", "admin,mirror")).code).toBe(0);
  expect(Bun.YAML.parse(readFileSync(file(), "utf8"))).toMatchObject({
    engines: { own: { accounts: [id, "mirror"] } },
  });
  expect((await run("engines", "remove", "own")).code).toBe(0);
});

test("a file with an error changes nothing, and is told by engine and field", async () => {
  const text = readFileSync(file(), "utf8");
  const before = (await listed()).map(({ id }) => id);
  writeFileSync(file(), "engines:\n  x: { kind: vllm, url: http://h:1/v1, models: [{ id: tiny }], slots: 0 }\n");
  const { code, err } = await run("engines", "reload");
  expect([code, err]).toEqual([
    1,
    `oxbow: The engines of before stay in force: ${file()}: engines.x.slots must be an integer from 1 to 4096, but is 0\n`,
  ]);
  expect((await listed()).map(({ id }) => id)).toEqual(before);
  expect(server.said()).toContain("engines not reloaded, what was in force stays");
  writeFileSync(file(), text);
  expect((await run("engines", "reload")).code).toBe(0);
});

test("an engine of data/engines.yaml can be taken away, and the last one cannot", async () => {
  await underCalls(async () => {
    expect((await run("engines", "remove", "tiny")).code).toBe(0);
    expect((await listed()).map(({ id }) => id)).toEqual(["simulator"]);
  });
  const { code, err } = await run("engines", "remove", "simulator");
  expect([code, err]).toEqual([1, expect.stringContaining("no engine is left; one at least must run")]);
  expect((await run("engines", "remove", "nobody")).err).toBe(
    "oxbow: There is no engine called 'nobody'. There are simulator.\n",
  );
});

test("without a server the file is written for the next one, which starts by it", async () => {
  const other = join(folder, "other");
  mkdirSync(other);
  const { code, err } = await oxbow(other, ["engines", "drain", "tiny"]);
  expect([code, err]).toEqual([0, expect.stringContaining(`No server runs on the home ${other}`)]);
  expect(existsSync(join(other, "engines.yaml"))).toBe(true);
  expect(readFileSync(join(other, "engines.yaml"), "utf8")).toContain("drain: true");
});
