import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { type ErrorBody, RelayedError } from "@oxbow/contract";
import { type EngineEntry, loadConfig } from "../config.ts";
import { createRemoteEngine, isAsleep, probe, readLoad, sleep, wake } from "./engines.ts";

const { kinds, queue } = loadConfig({ env: {} });
const classes = queue.map(({ id }) => id);

/** A server of somebody else: notes what it is asked, and answers what the test put there. */
interface Asked {
  path: string;
  headers: Headers;
  body: Record<string, unknown>;
  /** Of the connection, on the other side. */
  port: number | undefined;
}
const asked: Asked[] = [];
const answers = new Map<string, (call: Asked) => Response>();
const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  async fetch(request, here) {
    const { pathname, search } = new URL(request.url);
    const port = here.requestIP(request)?.port;
    const text = await request.text();
    const call = { path: pathname + search, headers: request.headers, body: text ? JSON.parse(text) : {}, port };
    asked.push(call);
    return answers.get(pathname)?.(call) ?? new Response("Not Found", { status: 404 });
  },
});
afterAll(() => server.stop(true));
beforeEach(() => {
  asked.length = 0;
  answers.clear();
});

const signal = new AbortController().signal;
const entryOf = (kind: string, more: Partial<EngineEntry> = {}): EngineEntry => ({
  id: "far",
  kind,
  url: `${server.url.origin}/v1/`,
  models: [{ id: "ours", name: "org/Theirs-7B" }],
  slots: 4,
  weight: 1,
  tags: [],
  pinned: true,
  options: {},
  ...more,
});
const engineOf = (kind: string, more: Partial<EngineEntry> = {}, env: Record<string, string> = {}) =>
  createRemoteEngine(entryOf(kind, more), kinds[kind]!, env, classes);
const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const CHAT = "/v1/chat/completions";
const call = { model: "ours", messages: [{ role: "user", content: "Hello" }] };
const ANSWER = {
  id: "chatcmpl-1",
  object: "chat.completion",
  created: 1,
  model: "org/Theirs-7B",
  choices: [{ index: 0, message: { role: "assistant", content: "Hi" }, finish_reason: "stop" }],
  usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
};

describe("what goes out", () => {
  beforeEach(() => void answers.set(CHAT, () => Response.json(ANSWER)));
  const sent = async (kind: string, body: object, more: object = {}) => {
    await engineOf(kind).call(CHAT, bytes(body), { signal, model: "ours", ...more });
    return asked.at(-1)!;
  };

  test("names the model as its server does, and carries the key from the environment", async () => {
    const engine = engineOf("openai", { apiKeyEnv: "FAR_KEY" }, { FAR_KEY: "secret-1" });
    await engine.call(CHAT, bytes(call), { signal, model: "ours" });
    expect(asked[0]!.body).toEqual({ ...call, model: "org/Theirs-7B" });
    expect(asked[0]!.headers.get("authorization")).toBe("Bearer secret-1");
    expect(JSON.stringify(engine)).not.toContain("secret-1");
    expect((await sent("openai", call)).headers.has("authorization")).toBe(false);
  });

  test("is the caller's own bytes when nothing has to change", async () => {
    let received = "";
    const echo = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      async fetch(request) {
        received = await request.text();
        return Response.json(ANSWER);
      },
    });
    const text = '{"model" : "m",  "seed": 12345678901234567890}';
    const engine = engineOf("openai", { url: `${echo.url.origin}/v1`, models: [{ id: "m" }] });
    await engine.call(CHAT, new TextEncoder().encode(text), { signal, model: "m" });
    expect(received).toBe(text);
    await echo.stop(true);
  });

  test("asks a stream for its token counts, and keeps the caller's other wishes", async () => {
    answers.set(CHAT, () => new Response("data: [DONE]\n\n", { headers: { "content-type": "text/event-stream" } }));
    const streamed = { ...call, stream: true, stream_options: { include_obfuscation: false } };
    expect((await sent("openai", streamed)).body.stream_options).toEqual({
      include_obfuscation: false,
      include_usage: true,
    });
  });

  test("tells the caller's class in the engine's polarity, once a probe has found that it is understood", async () => {
    const numbers = async (kind: string, found: boolean) => {
      const engine = engineOf(kind);
      engine.learn({ prioritySupported: found });
      const said: unknown[] = [];
      for (const priority of classes) {
        await engine.call(CHAT, bytes(call), { signal, model: "ours", priority });
        said.push(asked.at(-1)!.body.priority);
      }
      return said;
    };
    expect(await numbers("vllm", true)).toEqual([0, 10, 20, 30]);
    expect(await numbers("sglang", true)).toEqual([30, 20, 10, 0]);
    expect(await numbers("vllm", false)).toEqual([undefined, undefined, undefined, undefined]);
    const { headers, body } = await sent("router", call, { priority: classes[0], tenant: "t1" });
    expect(headers.get("x-llm-d-inference-objective")).toBe(`gw-${classes[0]}`);
    expect(headers.get("x-llm-d-inference-fairness-id")).toBe("t1");
    expect(body.priority).toBeUndefined();
    expect((await sent("vllm", call, { tenant: "t1" })).body.cache_salt).toBe("t1");
  });

  test("has none of the fields by which a caller could reach inside an engine, and ours in their place", async () => {
    for (const kind of ["vllm", "sglang", "router", "llama-server"]) {
      const fields = kinds[kind]!.remote!.privateFields;
      expect([kind, fields.length > 0]).toEqual([kind, true]);
      const private_ = Object.fromEntries(fields.map((name) => [name, "mine"]));
      expect((await sent(kind, { ...call, ...private_, top_k: 5 })).body).toEqual({
        ...call,
        model: "org/Theirs-7B",
        top_k: 5,
      });
    }
    const engine = engineOf("vllm");
    engine.learn({ prioritySupported: true });
    const jumping = bytes({ ...call, priority: -100, cache_salt: "theirs" });
    await engine.call(CHAT, jumping, { signal, model: "ours", priority: "best_effort", tenant: "t1" });
    expect(asked.at(-1)!.body).toMatchObject({ priority: 30, cache_salt: "t1" });
  });

  test("goes over a connection of its own where the server closes idle ones", async () => {
    const ports = async (kind: string) => {
      const from = asked.length;
      for (let round = 0; round < 3; round++) await sent(kind, call);
      return new Set(asked.slice(from).map(({ port }) => port)).size;
    };
    expect([await ports("vllm"), await ports("openai")]).toEqual([3, 1]);
  });

  test("leaves what is no JSON alone", async () => {
    answers.set("/v1/audio/transcriptions", () => Response.json({ text: "x" }));
    const engine = engineOf("vllm");
    const contentType = "multipart/form-data; boundary=b";
    const seen: string[] = [];
    answers.set("/v1/audio/transcriptions", ({ headers }) => {
      seen.push(headers.get("content-type")!);
      return Response.json({ text: "x" });
    });
    const form = new TextEncoder().encode('{"a":1}');
    await engine.call("/v1/audio/transcriptions", form, { signal, contentType, model: "ours" });
    expect(seen).toEqual([contentType]);
    expect(engine.nameOf("ours")).toBe("org/Theirs-7B");
    expect(engine.nameOf("other")).toBe("other");
  });
});

describe("a probe", () => {
  const METRICS = `# HELP vllm:num_requests_running x
vllm:num_requests_running{engine="0",model_name="a b"} 3.0
vllm:num_requests_running{engine="1",model_name="a}b"} 2.0
vllm:num_requests_waiting{engine="0"} 1
vllm:gpu_cache_usage_perc{engine="0"} 0.25
vllm:gpu_cache_usage_perc{engine="1"} NaN
vllm:generation_tokens_total{engine="0"} 30
vllm:generation_tokens_total{engine="1"} 40
`;
  const well = () => {
    answers.set("/health", () => new Response(""));
    answers.set("/v1/models", () => Response.json({ object: "list", data: [{ id: "org/Theirs-7B" }] }));
    answers.set("/version", () => Response.json({ version: "0.11.0" }));
    answers.set("/metrics", () => new Response(METRICS));
    answers.set(CHAT, () => Response.json(ANSWER));
  };

  test("finds health, models, version, load and whether priorities are understood", async () => {
    well();
    const engine = engineOf("vllm");
    expect(await probe(engine, signal)).toEqual({
      healthy: true,
      problem: null,
      models: ["org/Theirs-7B"],
      version: "0.11.0",
      metrics: true,
      prioritySupported: true,
    });
    await engine.call(CHAT, bytes(call), { signal, priority: "high" });
    expect(asked.at(-1)!.body.priority).toBe(20);
    expect(await readLoad(engine, signal)).toEqual({ running: 5, waiting: 1, kvUsage: 0.25, work: 70 });
  });

  test("knows a model by its name without the tag that its server adds, and with it", async () => {
    answers.set("/", () => new Response("Ollama is running"));
    answers.set("/v1/models", () => Response.json({ object: "list", data: [{ id: "tiny:latest" }, { id: "a:7b" }] }));
    expect((await probe(engineOf("ollama"), signal)).models).toEqual(["tiny", "tiny:latest", "a:7b"]);
  });

  test("finds priorities refused, and then none is sent", async () => {
    well();
    answers.set(CHAT, ({ body }) =>
      body.priority
        ? Response.json(
            { error: { message: "Got priority 1 but Priority scheduling is not enabled." } },
            { status: 400 },
          )
        : Response.json(ANSWER),
    );
    const engine = engineOf("vllm");
    expect((await probe(engine, signal)).prioritySupported).toBe(false);
    await engine.call(CHAT, bytes(call), { signal, priority: "high" });
    expect(asked.at(-1)!.body.priority).toBeUndefined();
  });

  test("asks about priorities with a model that the engine is here for, not with the first of its list", async () => {
    well();
    const ids = ["only-vectors", "org/Theirs-7B"];
    answers.set("/v1/models", () => Response.json({ object: "list", data: ids.map((id) => ({ id })) }));
    answers.set(CHAT, ({ body }) =>
      body.model === "org/Theirs-7B"
        ? Response.json(ANSWER)
        : Response.json({ error: { message: "The model does not support Chat Completions API" } }, { status: 400 }),
    );
    const engine = engineOf("vllm");
    expect((await probe(engine, signal, ["not-there", "ours"])).prioritySupported).toBe(true);
    await engine.call(CHAT, bytes(call), { signal, model: "ours", priority: "high" });
    expect(asked.at(-1)!.body.priority).toBe(20);
  });

  test("of a server that is loading, or of none, says that it is not well", async () => {
    well();
    answers.set("/health", () => new Response("", { status: 503 }));
    const sick = {
      healthy: false,
      problem: expect.any(String),
      version: null,
      metrics: false,
      prioritySupported: false,
    };
    expect(await probe(engineOf("llama-server"), signal)).toMatchObject({ ...sick, models: ["org/Theirs-7B"] });
    const nobody = engineOf("vllm", { url: "http://127.0.0.1:1/v1" });
    expect(await probe(nobody, signal)).toEqual({ ...sick, models: [] });
    expect(await readLoad(nobody, signal)).toBeNull();
  });

  test("puts an engine to sleep and wakes it, where its kind can", async () => {
    let asleep = false;
    answers.set("/sleep", ({ path }) => {
      expect(path).toBe("/sleep?level=1");
      asleep = true;
      return new Response("");
    });
    answers.set("/wake_up", () => {
      asleep = false;
      return new Response("");
    });
    answers.set("/is_sleeping", () => Response.json({ is_sleeping: asleep }));
    const engine = engineOf("vllm");
    expect([await sleep(engine, signal), await isAsleep(engine, signal)]).toEqual([true, true]);
    expect([await wake(engine, signal), await isAsleep(engine, signal)]).toEqual([true, false]);
    const without = engineOf("openai");
    expect([await sleep(without, signal), await isAsleep(without, signal)]).toEqual([false, null]);
  });

  test("that is not well says what is wrong, without its address", async () => {
    const said = async (list: () => Response, kind = "openai") => {
      answers.set("/v1/models", list);
      return (await probe(engineOf(kind), signal)).problem;
    };
    const page = "<html><head><title>Sign in</title></head></html>";
    const html = { headers: { "content-type": "text/html" } };
    expect(await said(() => Response.json({ data: [] }))).toBeNull();
    expect(await said(() => new Response("", { status: 401 }))).toBe(
      "Its /v1/models answered with status 401. Is its key right, and named (`apiKeyEnv`)?",
    );
    expect(await said(() => new Response(page, html))).toBe(
      "Its /v1/models answered with text/html, a page titled 'Sign in', instead of JSON.",
    );
    expect(await said(() => Response.json([]))).toBe("Its /v1/models cannot be used: what came is no list of models.");
    expect(await said(() => Response.json({ data: [] }), "vllm")).toBe("Its /health answered with status 404.");
    const nobody = await probe(engineOf("openai", { url: "http://127.0.0.1:1/v1" }), signal);
    expect(nobody.problem).toBe("It does not answer: ECONNREFUSED.");
  });

  test("is hung up on where it says more of itself than anybody could mean to", async () => {
    let open = 0;
    const endless = () => {
      open++;
      const piece = new TextEncoder().encode(`{"data":[${" ".repeat(1_000_000)}`);
      return new Response(
        new ReadableStream({
          pull: (controller) => controller.enqueue(piece),
          cancel: () => {
            open--;
            if (open === 0) gone.resolve();
          },
        }),
      );
    };
    const gone = Promise.withResolvers<void>();
    for (const path of ["/v1/models", "/version", "/metrics", "/is_sleeping", "/tokenize"]) answers.set(path, endless);
    const engine = engineOf("vllm");
    const seen = [probe(engine, signal), isAsleep(engine, signal), engine.count!(CHAT, bytes(call), signal)];
    expect(await Promise.all(seen)).toEqual([
      {
        healthy: false,
        problem: "Its /health answered with status 404.",
        models: [],
        version: null,
        metrics: false,
        prioritySupported: false,
      },
      null,
      null,
    ]);
    await gone.promise;
  });

  test("counts prompts where the kind's server can", async () => {
    answers.set("/tokenize", () => Response.json({ count: 42, tokens: [] }));
    expect(await engineOf("vllm").count!(CHAT, bytes(call), signal)).toBe(42);
    expect(asked[0]!.body).toEqual({ model: "org/Theirs-7B", messages: call.messages });
    answers.set("/tokenize", () => Response.json({ error: "no" }, { status: 400 }));
    expect(await engineOf("vllm").count!(CHAT, bytes(call), signal)).toBeNull();
    expect(engineOf("openai").count).toBeNull();
  });
});

/** An ApiError or a RelayedError: each test looks at what it expects. */
interface Refused extends Error {
  row?: string;
  param?: string | null;
  status: number;
  body: ErrorBody;
  headers: Record<string, string>;
}

describe("a refusal", () => {
  const refused = async (kind: string, response: () => Response, path = CHAT) => {
    answers.set(path, response);
    const error = await engineOf(kind)
      .call(path, bytes(call), { signal, model: "ours" })
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(Error);
    return error as Refused;
  };

  // What the engines say of a prompt that does not fit. Sources: their code and users' reports of it, read 2026-11-21.
  test.each([
    [
      "vllm",
      "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4000 in the messages, 1000 in the completion). Please reduce the length of the messages or completion.",
      "4096",
      "5000",
    ],
    [
      "vllm",
      "This model's maximum context length is 4096 tokens. However, your request has 5000 input tokens. Please reduce the length of the input messages.",
      "4096",
      "5000",
    ],
    [
      "vllm",
      "'max_tokens' or 'max_completion_tokens' is too large: 5000. This model's maximum context length is 4096 tokens and your request has 12 input tokens (5000 > 4096 - 12).",
      "4096",
      "12",
    ],
    [
      "vllm",
      "You passed 31745 input tokens and requested 1024 output tokens. However, the model's context length is only 32768 tokens, resulting in a maximum input length of 31744 tokens.",
      "32768",
      "31745",
    ],
    [
      "vllm",
      "The decoder prompt (length 5000) is longer than the maximum model length of 4096. Make sure that `max_model_len` is no smaller than the number of text tokens.",
      "4096",
      "5000",
    ],
    ["sglang", "The input (5000 tokens) is longer than the model's context length (4096 tokens).", "4096", "5000"],
    [
      "sglang",
      "Requested token count exceeds the model's maximum context length of 4096 tokens. You requested a total of 5000 tokens: 4000 tokens from the input messages and 1000 tokens for the completion.",
      "4096",
      "5000",
    ],
    ["sglang", "Input length (5000 tokens) exceeds the maximum allowed length (4096 tokens).", "4096", "5000"],
    [
      "llama-server",
      "request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it",
      "4096",
      "5000",
    ],
    ["llama-server", "the request exceeds the available context size, try increasing it", null, null],
    ["llama-cpp-python", "Requested tokens (5000) exceed context window of 4096", "4096", "5000"],
    ["ollama", "prompt too long; exceeded max context length by 100 tokens", null, null],
    ["ollama", "the input length exceeds the context length", null, null],
  ])("of a prompt that does not fit is told in OpenAI's words: %s, %s", async (kind, message, limit, tokens) => {
    const forms: unknown[] = [
      { error: { message, type: "BadRequestError", param: null, code: 400 } },
      { object: "error", message, type: "BadRequestError", param: null, code: 400 },
      { error: message },
      { detail: message },
    ];
    for (const [index, form] of forms.entries()) {
      // A router may pass any of them on.
      const error = await refused(index === 1 ? "router" : kind, () =>
        Response.json(form, { status: index === 2 ? 500 : 400 }),
      );
      expect(error.row).toBe("context_length_exceeded");
      expect(error.param).toBe("messages");
      if (limit) expect(error.message).toContain(`This model's maximum context length is ${limit} tokens`);
      if (tokens) expect(error.message).toContain(`resulted in ${tokens} tokens`);
    }
  });

  test("of the call keeps its words, in our envelope and under our name of the model", async () => {
    const message = "top_k must be positive for org/Theirs-7B";
    const body = (error: Refused) => [error.status, error.body.error];
    const told = { message: "top_k must be positive for ours", type: "invalid_request_error", param: null, code: null };
    const flat = { object: "error", message, type: "BadRequestError", param: null, code: 400 };
    expect(body(await refused("vllm", () => Response.json(flat, { status: 400 })))).toEqual([400, told]);
    expect(body(await refused("vllm", () => new Response(message, { status: 400 })))).toEqual([400, told]);
    const detail = [{ loc: ["body", "messages", 0, "role"], msg: "field required", type: "missing" }];
    expect(body(await refused("vllm", () => Response.json({ detail }, { status: 422 })))).toEqual([
      400,
      { ...told, message: "messages[0].role: field required", param: "messages[0].role" },
    ]);
  });

  test("that is the engine's own fault shows nothing of it", async () => {
    const failures: [number, string][] = [
      [401, "engine_failed"],
      [403, "engine_failed"],
      [404, "engine_failed"],
      [500, "engine_failed"],
      [502, "engine_failed"],
      [503, "queue_full"],
      [504, "engine_timeout"],
    ];
    for (const [status, row] of failures) {
      const error = await refused("vllm", () =>
        Response.json({ error: { message: "trace at /srv/x.py" } }, { status }),
      );
      expect(error.row).toBe(row);
      expect(error.message).not.toContain("/srv");
    }
    const unpaid = {
      error: { message: "You exceeded your current quota", type: "insufficient_quota", code: "insufficient_quota" },
    };
    expect((await refused("openai", () => Response.json(unpaid, { status: 429 }))).row).toBe("engine_failed");
  });

  test("of too many requests keeps its wait", async () => {
    const error = await refused("vllm", () => new Response("slow", { status: 429, headers: { "retry-after": "2" } }));
    expect(error).toBeInstanceOf(RelayedError);
    expect([error.status, error.headers, error.body.error.code]).toEqual([
      429,
      { "retry-after": "2" },
      "rate_limit_exceeded",
    ]);
  });
});
