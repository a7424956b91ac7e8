import { afterAll, describe, expect, test } from "bun:test";
import { violationsOf as shapeViolations } from "../../test/oracle/oracle.ts";
import { CHAT_WHOLE_RULES } from "../../test/rules.ts";
import { CHAT, EVERY, MODEL, openEngines } from "./testing.ts";

const { call, stop } = openEngines();
afterAll(stop);

describe("a whole answer", () => {
  const message = { role: "assistant", content: "Hi", refusal: null };
  const usage = { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 };
  const GOOD = {
    id: "chatcmpl-1",
    object: "chat.completion",
    created: 1_700_000_000,
    model: MODEL,
    choices: [{ index: 0, message, finish_reason: "stop" }],
    usage,
  };
  const mended = async (answer: object | string, request: object = {}, repairs = EVERY, path = CHAT) => {
    const text = typeof answer === "string" ? answer : JSON.stringify(answer);
    const got = await call(
      () => new Response(text, { headers: { "content-type": "text/plain" } }),
      { model: "m", ...request },
      repairs,
      path,
    );
    if (got.kind !== "whole") throw new Error("not whole");
    return { raw: Buffer.from(got.bytes).toString(), usage: got.usage };
  };

  test("that is good passes byte for byte", async () => {
    const odd = JSON.stringify(GOOD, null, 2).replace("1700000000", '1700000000, "seed": 12345678901234567890');
    for (const repairs of [EVERY, []]) {
      expect((await mended(odd, {}, repairs)).raw).toBe(odd);
      expect((await mended(odd, {}, repairs)).usage).toEqual({ prompt_tokens: 5, completion_tokens: 2 });
    }
  });

  test("with gaps is completed until no SDK breaks on it", async () => {
    const call = { id: "", function: { name: "f", arguments: { a: 1 } } };
    const answers: object[] = [
      { choices: [{ message: { content: "Hi" } }] },
      { ...GOOD, error: null, created: 1.5, choices: [{ ...GOOD.choices[0], finish_reason: "eos" }] },
      { ...GOOD, choices: [{ index: 0, message: { ...message, tool_calls: [] }, finish_reason: "" }] },
      {
        ...GOOD,
        choices: [{ index: 0, message: { content: null, tool_calls: [call, { ...call }] }, finish_reason: "stop" }],
      },
      { ...GOOD, choices: [{ index: 0, message: { tool_calls: [{ ...call, function: { name: "f" } }] } }] },
      { ...GOOD, usage: { prompt_tokens: 5, completion_tokens: 2 } },
      { ...GOOD, usage: null },
    ];
    for (const answer of answers) {
      const { raw } = await mended(answer);
      const body = JSON.parse(raw);
      const seen = { raw, contentType: "application/json", body, request: { model: MODEL } };
      const found = CHAT_WHOLE_RULES.flatMap((rule) => (rule.seen(seen) === undefined ? [] : [rule.never]));
      expect([raw, found, shapeViolations("CreateChatCompletionResponse", body)]).toEqual([raw, [], []]);
    }
  });

  test("names the model as we do", async () => {
    const text = JSON.stringify({ ...GOOD, model: "org/Theirs" });
    const got = await call(() => new Response(text), { model: "m" }, [], CHAT, new Map([["m", "org/Theirs"]]));
    expect(got.kind === "whole" && JSON.parse(Buffer.from(got.bytes).toString()).model).toBe("m");
  });

  test("keeps its reasoning apart from its text", async () => {
    const told = { ...message, content: "<think>hm</think>yes" };
    const body = JSON.parse(
      (await mended({ ...GOOD, choices: [{ index: 0, message: told, finish_reason: "stop" }] })).raw,
    );
    expect(body.choices[0].message).toMatchObject({ content: "yes", reasoning_content: "hm" });
  });

  test("that is none, or an error under status 200, is a failure", async () => {
    for (const [text, row] of [
      ["<html>", "engine_failed"],
      ["[]", "engine_failed"],
      ["{}", "engine_failed"],
      ['{"choices":[]}', "engine_failed"],
      ['{"error":"out of memory"}', "engine_failed"],
      ['{"object":"error","message":"boom","code":500}', "engine_failed"],
    ] as const) {
      const error = await mended(text).catch((thrown) => thrown);
      expect([text, error.row]).toEqual([text, row]);
    }
    const theirs = await mended('{"error":{"message":"bad top_k","type":"invalid_request_error","code":400}}').catch(
      (thrown) => thrown,
    );
    expect([theirs.status, theirs.body.error.message]).toEqual([400, "bad top_k"]);
  });

  test("of the older endpoint and of embeddings is completed too", async () => {
    const completion = JSON.parse(
      (await mended({ choices: [{ text: "Hi" }] }, { prompt: "Hello" }, EVERY, "/v1/completions")).raw,
    );
    expect(completion).toMatchObject({ object: "text_completion", model: MODEL });
    expect(completion.choices[0]).toEqual({ text: "Hi", index: 0, logprobs: null, finish_reason: "stop" });
    expect(completion.usage).toEqual({ prompt_tokens: 2, completion_tokens: 1, total_tokens: 3 });
    const rows = { data: [{ embedding: [0.1] }, { embedding: [0.2] }] };
    const embeddings = await mended(rows, { input: ["Hello", "you"] }, EVERY, "/v1/embeddings");
    expect(JSON.parse(embeddings.raw)).toMatchObject({
      object: "list",
      data: [
        { object: "embedding", index: 0 },
        { object: "embedding", index: 1 },
      ],
      usage: { prompt_tokens: 4, total_tokens: 4 },
    });
    expect(embeddings.usage).toEqual({ prompt_tokens: 4, completion_tokens: 0 });
  });
});

test("embeddings come in the form that was asked for", async () => {
  const numbers = [0.5, -1.25, 3];
  const packed = Buffer.from(new Float32Array(numbers).buffer).toString("base64");
  const usage = { prompt_tokens: 1, total_tokens: 1 };
  const said = async (embedding: unknown, encoding_format?: string) => {
    const answer = { object: "list", model: MODEL, data: [{ object: "embedding", index: 0, embedding }], usage };
    const request = { model: "m", input: "x", encoding_format };
    const got = await call(() => Response.json(answer), request, EVERY, "/v1/embeddings");
    return got.kind === "whole" && JSON.parse(Buffer.from(got.bytes).toString()).data[0].embedding;
  };
  expect(await said(numbers, "base64")).toBe(packed);
  expect(await said(packed, "base64")).toBe(packed);
  expect(await said(packed, "float")).toEqual(numbers);
  expect(await said(packed)).toEqual(numbers);
  expect(await said(numbers)).toEqual(numbers);
});

describe("an engine that counts what cannot be counted", () => {
  const answer = (usage: object) => () =>
    Response.json({
      id: "a",
      object: "chat.completion",
      created: 1,
      model: "m",
      choices: [{ index: 0, message: { role: "assistant", content: "four words are here" }, finish_reason: "stop" }],
      usage,
    });

  for (const wrong of [-5, 1e300, 1.5, 1e18, "7", null]) {
    for (const repairs of [EVERY, []]) {
      test(`${JSON.stringify(wrong)} tokens reach no ledger, ${repairs.length === 0 ? "unmended" : "mended"}`, async () => {
        const body = { model: "m", messages: [{ role: "user", content: "Hello" }] };
        const both = await call(answer({ prompt_tokens: wrong, completion_tokens: wrong }), body, repairs);
        const one = await call(answer({ prompt_tokens: 3, completion_tokens: wrong }), body, repairs);
        for (const got of [both, one]) {
          if (got.kind !== "whole") throw new Error("not whole");
          expect(Number.isInteger(got.usage!.prompt_tokens) && got.usage!.prompt_tokens > 0).toBe(true);
          const out = got.usage!.completion_tokens;
          expect(Number.isInteger(out) && out >= 0 && out < 100).toBe(true);
          if (repairs.length === 0) continue;
          const shown = (JSON.parse(Buffer.from(got.bytes).toString()) as { usage: Record<string, number> }).usage;
          expect(shown.total_tokens).toBe(got.usage!.prompt_tokens + got.usage!.completion_tokens);
        }
      });
    }
  }
});
