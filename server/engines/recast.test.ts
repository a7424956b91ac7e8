import { afterAll, describe, expect, test } from "bun:test";
import type { RelayedError } from "@oxbow/contract";
import { violationsOf as shapeViolations } from "../../test/oracle/oracle.ts";
import { CHAT_WHOLE_RULES } from "../../test/rules.ts";
import {
  bytesOf,
  chunk,
  DONE,
  EVERY,
  events,
  framesOf,
  HEAD,
  MODEL,
  openEngines,
  read,
  textOf,
  violations,
  write,
} from "./testing.ts";

const { call, stop } = openEngines();
afterAll(stop);

const CHAT = "/v1/chat/completions";
const COMPLETIONS = "/v1/completions";
const usage = { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 };
const counts = { prompt_tokens: 5, completion_tokens: 2 };
const token = (text: string) => ({ token: text, logprob: -0.5, bytes: null, top_logprobs: [] });
const toolCall = (id: string, city: string) => ({
  id,
  type: "function",
  function: { name: "get_weather", arguments: `{"city":"${city}"}` },
});
const WHOLE = {
  ...HEAD,
  object: "chat.completion",
  choices: [
    {
      index: 0,
      message: { role: "assistant", content: "Hi there", refusal: null, reasoning_content: "hm" },
      logprobs: { content: [token("Hi"), token(" there")], refusal: null },
      finish_reason: "length",
    },
    {
      index: 1,
      message: {
        role: "assistant",
        content: null,
        refusal: null,
        tool_calls: [toolCall("call_a", "Paris"), toolCall("call_b", "Rome")],
      },
      logprobs: null,
      finish_reason: "tool_calls",
    },
  ],
  usage,
};

/** The whole answer that comes of a stream where none was asked for. */
async function gathered(text: string, path = CHAT, repairs = EVERY) {
  const got = await call(() => events([bytesOf(text)]), { model: MODEL, messages: [] }, repairs, path);
  if (got.kind !== "whole") throw new Error("not whole");
  return { ...JSON.parse(Buffer.from(got.bytes).toString()), counted: got.usage };
}

/** The stream that comes of a whole answer where a stream was asked for. */
async function streamed(answer: object, more: object = {}, path = CHAT, repairs = EVERY) {
  const asked = { model: MODEL, messages: [], stream: true, ...more };
  return framesOf(await call(() => Response.json(answer), asked, repairs, path));
}

describe("a whole answer to who asked for a stream", () => {
  test.each([
    ["mended", EVERY],
    ["of a kind without repairs", []],
  ])("comes as one that no SDK breaks on, %s, and says the same", async (_, repairs) => {
    for (const more of [{}, { stream_options: { include_usage: true } }]) {
      const frames = await streamed(WHOLE, more, CHAT, repairs);
      expect(frames.at(-1)).toMatchObject({ last: true, usage: counts });
      expect(frames.reduce((sum, { finishes }) => sum + finishes, 0)).toBe(2);
      const text = textOf(frames);
      expect(text).toEndWith(DONE);
      expect(violations(read(text, { n: 2, logprobs: true, ...more }))).toEqual([]);
      // Back again, nothing has been lost.
      const { counted, ...back } = await gathered(text, CHAT, []);
      expect(back.choices).toEqual(WHOLE.choices);
      if ("stream_options" in more) expect([back.usage, counted]).toEqual([usage, counts]);
    }
  });

  test("of the older endpoint too", async () => {
    const answer = {
      id: "cmpl-1",
      object: "text_completion",
      created: 1,
      model: MODEL,
      choices: [{ text: "Hi", index: 0, logprobs: null, finish_reason: "stop" }],
      usage,
    };
    const text = textOf(await streamed(answer, { prompt: "x" }, COMPLETIONS));
    const said = text
      .split("\n\n")
      .flatMap((event) => (event.startsWith("data: {") ? [JSON.parse(event.slice(6))] : []));
    expect(said.map(({ choices: [{ text, finish_reason }] }) => [text, finish_reason])).toEqual([
      ["Hi", null],
      ["", "stop"],
    ]);
  });

  test("that is an error, or none, is told before anything is sent", async () => {
    const refused = (await streamed({
      error: { message: "bad top_k", type: "invalid_request_error", code: 400 },
    }).catch((thrown) => thrown)) as RelayedError;
    expect([refused.status, refused.body.error.message]).toEqual([400, "bad top_k"]);
    const nothing = await streamed({ choices: [] }).catch((thrown) => thrown);
    expect(nothing.row).toBe("engine_failed");
  });
});

describe("a stream to who asked for a whole answer", () => {
  test("is put together, pieces of calls and all", async () => {
    const piece = (call: object) => chunk({ tool_calls: [call] } as never, null, 1);
    const text = write(
      chunk({ role: "assistant", content: "", refusal: null }),
      chunk({ role: "assistant", content: null, refusal: null }, null, 1),
      chunk({ reasoning_content: "h" }),
      chunk({ reasoning_content: "m" }),
      piece({ index: 0, id: "call_a", type: "function", function: { name: "get_weather", arguments: "" } }),
      piece({ index: 0, function: { arguments: '{"city":' } }),
      {
        ...HEAD,
        choices: [{ index: 0, delta: { content: "Hi" }, logprobs: { content: [token("Hi")] }, finish_reason: null }],
      },
      piece({ index: 0, function: { arguments: '"Paris"}' } }),
      piece({
        index: 1,
        id: "call_b",
        type: "function",
        function: { name: "get_weather", arguments: '{"city":"Rome"}' },
      }),
      {
        ...HEAD,
        choices: [
          { index: 0, delta: { content: " there" }, logprobs: { content: [token(" there")] }, finish_reason: null },
        ],
      },
      chunk({}, "length"),
      chunk({}, "tool_calls", 1),
      { ...HEAD, choices: [], usage },
    );
    const { counted, ...body } = await gathered(text);
    expect(body).toEqual(WHOLE);
    expect(counted).toEqual(counts);
    const seen = { raw: JSON.stringify(body), contentType: "application/json", body, request: { model: MODEL, n: 2 } };
    expect(CHAT_WHOLE_RULES.flatMap((rule) => (rule.seen(seen as never) === undefined ? [] : [rule.never]))).toEqual(
      [],
    );
    expect(shapeViolations("CreateChatCompletionResponse", body)).toEqual([]);
  });

  test("is counted when its engine does not", async () => {
    const text = write(chunk({ role: "assistant", content: "abcdefgh" }), chunk({}, "stop"));
    expect((await gathered(text)).usage).toMatchObject({ completion_tokens: 2 });
  });

  test("of the older endpoint too", async () => {
    const piece = (text: string, at: number, finish_reason: string | null = null) => ({
      id: "cmpl-1",
      created: 1,
      model: MODEL,
      choices: [
        {
          index: 0,
          text,
          finish_reason,
          logprobs: { tokens: [text], token_logprobs: [-1], top_logprobs: null, text_offset: [at] },
        },
      ],
    });
    const { choices, object } = await gathered(write(piece("Hi", 0), piece(" you", 2, "stop")), COMPLETIONS);
    expect(object).toBe("text_completion");
    const logprobs = { tokens: ["Hi", " you"], token_logprobs: [-1, -1], top_logprobs: null, text_offset: [0, 2] };
    expect(choices).toEqual([{ text: "Hi you", index: 0, logprobs, finish_reason: "stop" }]);
  });

  test("that breaks off, or holds an error, is a failure and no half answer", async () => {
    const began = chunk({ role: "assistant", content: "Hi" });
    const cut = await gathered(`data: ${JSON.stringify(began)}\n\n`, CHAT, []).catch((thrown) => thrown);
    expect(cut.row).toBe("engine_failed");
    const told = await gathered(write(began, { error: { message: "out of memory", code: 500 } })).catch(
      (thrown) => thrown,
    );
    expect(told.row).toBe("engine_failed");
  });

  test("is none where only whole answers are known", async () => {
    const none = await gathered(write({ data: [] }), "/v1/embeddings").catch((thrown) => thrown);
    expect(none.row).toBe("engine_failed");
  });
});
