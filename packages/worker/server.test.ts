import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ApiError, type ErrorBody, type WorkerModel } from "@oxbow/contract";
import { errorOf, type Served, serve } from "./worker.ts";

const folder = mkdtempSync(join(tmpdir(), "oxbow-worker-"));
afterAll(() => rmSync(folder, { recursive: true }));

const MODEL: WorkerModel = { id: "m", aliases: ["a"], category: "chat", capabilities: [], contextTokens: 100 };
const ECHO: Served = {
  routes: { "/v1/echo": async (request) => new Response(await request.text()) },
  counts: { "/v1/echo": (body) => Object.keys(body).length },
  samples: () => [{ type: "counter", name: "echoes_total", help: "Echoes.", value: 7 }],
  contextTokens: 50,
};

let servers = 0;
function start() {
  const socket = join(folder, `${servers++}.sock`);
  const lines: string[] = [];
  const server = serve({ socket, model: MODEL, program: "test", log: (line) => lines.push(line) });
  const ask = (path: string, init: RequestInit = {}) => fetch(`http://worker${path}`, { ...init, unix: socket });
  const post = (path: string, body = "{}", headers: Record<string, string> = {}) =>
    ask(path, { method: "POST", body, headers });
  const refusal = async (answer: Response) => {
    const { error } = (await answer.json()) as ErrorBody;
    return [answer.status, error.code, error.param];
  };
  return { server, lines, ask, post, refusal };
}

test("a model that is being loaded says how far it is, and refuses calls with a time to come back", async () => {
  const { server, ask, post, refusal } = start();
  server.progress(0.25);
  expect(await (await ask("/health")).json()).toEqual({ state: "loading", progress: 0.25 });
  const refused = await post("/v1/echo");
  expect(refused.headers.get("retry-after-ms")).toBe("1000");
  expect(await refusal(refused)).toEqual([503, "model_not_ready", null]);
});

test("a loaded model answers at its paths, and tells the context that it really has", async () => {
  const { server, ask, post } = start();
  server.open(ECHO);
  expect(await (await post("/v1/echo", "hello")).text()).toBe("hello");
  expect(await (await ask("/health")).json()).toEqual({ state: "warm", progress: 1, contextTokens: 50 });
  const { data } = (await (await ask("/v1/models")).json()) as { data: unknown[] };
  expect(data).toMatchObject([{ id: "m", aliases: ["a"], context_window: 50, state: "warm" }]);
});

test("prompts are counted for the paths that have any", async () => {
  const { server, post, refusal } = start();
  server.open(ECHO);
  const count = (path: string) => post("/v1/count", '{"a":1,"b":2}', { "x-oxbow-path": path });
  expect(await (await count("/v1/echo")).json()).toEqual({ prompt_tokens: 2 });
  expect(await refusal(await count("/v1/other"))).toEqual([404, "unknown_url", null]);
  expect(await refusal(await count("toString"))).toEqual([404, "unknown_url", null]);
});

test("a path that other models answer is a wrong model, any other path is unknown", async () => {
  const { server, ask, post, refusal } = start();
  server.open(ECHO);
  expect(await refusal(await post("/v1/embeddings"))).toEqual([400, "unsupported_value", "model"]);
  for (const answer of [await post("/echo"), await ask("/v1/echo"), await ask("/health", { method: "PUT" })]) {
    expect(await refusal(answer)).toEqual([404, "unknown_url", null]);
  }
});

test("requests are counted by how they began to be answered, and no caller chooses a label", async () => {
  const { server, ask, post } = start();
  const throwing = (error: Error) => () => Promise.reject(error);
  const refused = throwing(new ApiError("invalid_value", "No."));
  server.open({ ...ECHO, routes: { ...ECHO.routes, "/v1/no": refused, "/v1/broken": throwing(new Error("oh")) } });
  for (const path of ["/v1/echo", "/v1/echo", "/v1/no", "/v1/broken", "/v1/anything"]) await post(path);
  const text = await (await ask("/metrics")).text();
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  expect(lines).toEqual([
    "oxbow_test_requests_running 0",
    'oxbow_test_requests_total{path="/v1/echo",outcome="ok"} 2',
    'oxbow_test_requests_total{path="/v1/no",outcome="refused"} 1',
    'oxbow_test_requests_total{path="/v1/broken",outcome="failed"} 1',
    'oxbow_test_requests_total{path="other",outcome="refused"} 1',
    "oxbow_test_echoes_total 7",
  ]);
});

test("a worker that drains ends what it began and takes nothing new", async () => {
  const { server, ask } = start();
  const begun = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const slow = async () => {
    begun.resolve();
    await goOn.promise;
    return new Response("done");
  };
  server.open({ routes: { "/v1/slow": slow } });
  const running = ask("/v1/slow", { method: "POST" });
  await begun.promise;
  const drained = server.drain();
  const refused = await ask("/v1/slow", { method: "POST" }).then(
    ({ status }) => status,
    () => "not connected",
  );
  expect([503, "not connected"]).toContain(refused);
  goOn.resolve();
  expect(await (await running).text()).toBe("done");
  await drained;
});

test("what is thrown unexpectedly is logged, and not told to clients", () => {
  const lines: string[] = [];
  const error = errorOf(new Error("secret inside"), (line) => lines.push(line));
  expect(error.row).toBe("internal_error");
  expect(error.message).not.toContain("secret");
  expect(lines.join()).toContain("secret inside");
});
