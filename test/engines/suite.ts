// The same calls of the official Node client for every engine, all of them through Oxbow. What an engine can do is said by
// its traits; what it cannot, Oxbow must refuse by name. The wire itself is held to the contract at the end.

import { describe, expect, test } from "bun:test";
import OpenAI, { APIError } from "openai";
import type { RunningServer } from "../harness.ts";
import { KEY } from "../harness.ts";
import { testTraffic, WEATHER } from "../suite.ts";

export interface Traits {
  /** Members of the contract's FEATURES that its kind's row has. */
  features: readonly string[];
  /** Whether it obeys `tool_choice`. */
  obeysToolChoice: boolean;
  /** Whether its grammar lets the model talk before it calls: one as small as ours then never comes to the point. */
  talksFirst?: boolean;
  /** Whether it refuses a prompt that does not fit. One that does not shortens it, and says nothing. */
  refusesOverflow: boolean;
  /** Tokens that do not fit: more than its context has. */
  overflowWords: number;
  /** Whether a stream, too, says that the prompt does not fit. One that does not breaks off with nothing said. */
  saysItInStreams?: boolean;
}

export const MODEL = "tiny";
const HELLO = [{ role: "user" as const, content: "Say hello in one sentence." }];
const base = { model: MODEL, messages: HELLO, max_completion_tokens: 16 };

export function engineSuite(name: string, server: () => RunningServer, traits: Traits): void {
  const client = () => new OpenAI({ baseURL: server().baseUrl, apiKey: KEY, maxRetries: 0 });
  const has = (feature: string) => traits.features.includes(feature);

  /** Where a feature is not there, the call must be refused by its name. */
  function where(feature: string, title: string, param: string, run: () => Promise<unknown>): void {
    if (has(feature)) test(title, async () => void (await run()), TEST_MS_MAX);
    else {
      test(`${title}: refused`, async () => {
        const error = (await run().catch((thrown) => thrown)) as APIError;
        expect(error).toBeInstanceOf(APIError);
        expect([error.status, error.code, error.param]).toEqual([400, "unsupported_parameter", param]);
      });
    }
  }

  describe(name, () => {
    test(
      "a whole answer says which model it is, why it ended and what it cost",
      async () => {
        const answer = await client().chat.completions.create({ ...base, temperature: 0 });
        expect(answer.model).toBe(MODEL);
        expect(answer.choices).toHaveLength(1);
        expect(answer.choices[0]!.finish_reason).toBeOneOf(["stop", "length"]);
        expect(answer.choices[0]!.message.content).toBeTruthy();
        expect(answer.usage!.completion_tokens).toBeGreaterThan(0);
        expect(answer.usage!.total_tokens).toBe(answer.usage!.prompt_tokens + answer.usage!.completion_tokens);
      },
      TEST_MS_MAX,
    );

    test(
      "a stream says what the whole answer says, and counts when asked",
      async () => {
        const call = { ...base, temperature: 0, seed: has("seed") ? 1 : undefined };
        const whole = await client().chat.completions.create(call);
        const stream = client().chat.completions.stream({ ...call, stream_options: { include_usage: true } });
        const final = await stream.finalChatCompletion();
        expect(final.model).toBe(MODEL);
        expect(final.choices[0]!.message.content).toBe(whole.choices[0]!.message.content);
        expect(final.choices[0]!.finish_reason).toBe(whole.choices[0]!.finish_reason);
        expect(final.usage!.completion_tokens).toBeGreaterThan(0);
        expect(final.usage!.prompt_tokens).toBeGreaterThan(0);
      },
      TEST_MS_MAX,
    );

    test(
      "a stream that does not ask for counts gets none",
      async () => {
        const chunks = await Array.fromAsync(await client().chat.completions.create({ ...base, stream: true }));
        expect(chunks.filter((chunk) => "usage" in chunk)).toEqual([]);
        expect(chunks.at(-1)!.choices[0]!.finish_reason).toBeOneOf(["stop", "length"]);
      },
      TEST_MS_MAX,
    );

    test(
      "a limit ends with `length`, whole and streamed",
      async () => {
        const cut = { ...base, max_completion_tokens: 3, temperature: 0 };
        const whole = await client().chat.completions.create(cut);
        expect(whole.choices[0]!.finish_reason).toBe("length");
        expect(whole.usage!.completion_tokens).toBe(3);
        const final = await client()
          .chat.completions.stream(cut)
          .finalChatCompletion()
          .catch((thrown) => thrown);
        // The helper of the SDK throws for it: that it knows the reason is what matters.
        expect(final instanceof Error ? final.constructor.name : final.choices[0].finish_reason).toBeOneOf([
          "LengthFinishReasonError",
          "length",
        ]);
      },
      TEST_MS_MAX,
    );

    test(
      "a stop string ends with `stop` and is no part of the answer",
      async () => {
        const call = { ...base, temperature: 0 };
        const full = (await client().chat.completions.create(call)).choices[0]!.message.content!;
        const stop = full.slice(3, 7);
        const stopped = await client().chat.completions.create({ ...call, stop: [stop] });
        expect(stopped.choices[0]!.message.content).toBe(full.slice(0, full.indexOf(stop)));
        expect(stopped.choices[0]!.finish_reason).toBe("stop");
      },
      TEST_MS_MAX,
    );

    test(
      "the developer's role and parts of text are read",
      async () => {
        const messages = [
          { role: "developer" as const, content: "Be brief." },
          { role: "user" as const, content: [{ type: "text" as const, text: "Hello, São Paulo 😀" }] },
        ];
        const answer = await client().chat.completions.create({ ...base, messages });
        expect(answer.choices[0]!.message.role).toBe("assistant");
      },
      TEST_MS_MAX,
    );

    const named = { type: "function" as const, function: { name: "get_weather" } };
    for (const [choice, tool_choice] of Object.entries({ required: "required" as const, named })) {
      if (!traits.obeysToolChoice) {
        test(`a tool that must be called (${choice}) is refused, and not forgotten`, async () => {
          const call = { ...base, tools: [CLOSED], tool_choice };
          const error = (await client()
            .chat.completions.create(call)
            .catch((thrown) => thrown)) as APIError;
          expect([error.status, error.code, error.param]).toEqual([400, "unsupported_value", "tool_choice"]);
        });
        continue;
      }
      where("tools", `a tool is called (${choice}), whole and streamed`, "tools", async () => {
        const call = {
          model: MODEL,
          messages: [{ role: "user" as const, content: "What is the weather in Paris? Use get_weather." }],
          tools: [CLOSED],
          tool_choice,
          max_completion_tokens: 80,
          temperature: 0,
        };
        const whole = (await client().chat.completions.create(call)).choices[0]!;
        const streamed = (await client().chat.completions.stream(call).finalChatCompletion()).choices[0]!;
        for (const { message, finish_reason } of [whole, streamed]) {
          if (traits.talksFirst && finish_reason === "length") continue;
          expect(finish_reason).toBe(choice === "named" ? "stop" : "tool_calls");
          for (const each of message.tool_calls!) {
            if (each.type !== "function") throw new Error("not a function");
            expect(each.id).toBeTruthy();
            expect(each.function.name).toBe("get_weather");
            expect(JSON.parse(each.function.arguments)).toBeObject();
          }
        }
      });
    }

    where("tools", "a conversation with a call and its result goes on", "tools", async () => {
      const messages = [
        { role: "user" as const, content: "What is the weather in Paris?" },
        {
          role: "assistant" as const,
          content: null,
          tool_calls: [
            {
              id: "call_1",
              type: "function" as const,
              function: { name: "get_weather", arguments: '{"location":"Paris"}' },
            },
          ],
        },
        { role: "tool" as const, tool_call_id: "call_1", content: "23 degrees" },
      ];
      const answer = await client().chat.completions.create({
        ...base,
        messages,
        tools: [WEATHER],
        tool_choice: "none",
      });
      expect(answer.choices[0]!.message.tool_calls).toBeUndefined();
    });

    where("structured_outputs", "a schema is kept", "response_format", async () => {
      const schema = {
        type: "object",
        properties: { name: { type: "string", maxLength: 8 }, big: { type: "boolean" } },
        required: ["name", "big"],
        additionalProperties: false,
      };
      const answer = await client().chat.completions.create({
        ...base,
        max_completion_tokens: 120,
        response_format: { type: "json_schema", json_schema: { name: "city", strict: true, schema } },
      });
      const city = JSON.parse(answer.choices[0]!.message.content!);
      expect([typeof city.name, typeof city.big]).toEqual(["string", "boolean"]);
    });

    where("logprobs", "log-probabilities come with their tokens, whole and streamed", "logprobs", async () => {
      const call = { ...base, logprobs: true, top_logprobs: 2, temperature: 0, max_completion_tokens: 6 };
      const tokens = (await client().chat.completions.create(call)).choices[0]!.logprobs!.content!;
      expect(tokens.length).toBeGreaterThan(0);
      for (const token of tokens) {
        expect(token.logprob).toBeLessThanOrEqual(0);
        expect(token.top_logprobs).toBeArray();
      }
      const chunks = await Array.fromAsync(await client().chat.completions.create({ ...call, stream: true }));
      const streamed = chunks.flatMap((chunk) => chunk.choices[0]?.logprobs?.content ?? []);
      expect(streamed.length).toBeGreaterThan(0);
    });

    where("multiple_choices", "two choices are two, whole and streamed", "n", async () => {
      const call = { ...base, n: 2, temperature: 1, max_completion_tokens: 8 };
      const whole = await client().chat.completions.create(call);
      expect(whole.choices.map(({ index }) => index)).toEqual([0, 1]);
      const chunks = await Array.fromAsync(await client().chat.completions.create({ ...call, stream: true }));
      const finishes = chunks.flatMap(({ choices }) => choices).filter(({ finish_reason }) => finish_reason !== null);
      expect(finishes.map(({ index }) => index).sort()).toEqual([0, 1]);
    });

    test(
      "the older endpoint answers, whole and streamed",
      async () => {
        const call = { model: MODEL, prompt: "Hello", max_tokens: 6, temperature: 0 };
        const whole = await client().completions.create(call);
        expect(whole.model).toBe(MODEL);
        expect(whole.object).toBe("text_completion");
        const chunks = await Array.fromAsync(await client().completions.create({ ...call, stream: true }));
        expect(chunks.map(({ choices }) => choices[0]?.text ?? "").join("")).toBe(whole.choices[0]!.text);
      },
      TEST_MS_MAX,
    );

    test(
      "the Responses API answers, whole and streamed",
      async () => {
        const call = { model: MODEL, input: "Hello", max_output_tokens: 16, temperature: 0 };
        const whole = await client().responses.create(call);
        expect(whole.status).toBeOneOf(["completed", "incomplete"]);
        expect(whole.usage!.output_tokens).toBeGreaterThan(0);
        const events = await Array.fromAsync(await client().responses.create({ ...call, stream: true }));
        expect(events.at(-1)!.type).toBeOneOf(["response.completed", "response.incomplete"]);
      },
      TEST_MS_MAX,
    );

    if (traits.refusesOverflow) {
      test(
        "a prompt that does not fit is refused by its code, whole and streamed",
        async () => {
          const messages = [{ role: "user" as const, content: "Hello ".repeat(traits.overflowWords) }];
          for (const stream of [false, true]) {
            const call = client().chat.completions.create({ ...base, messages, stream });
            const error = (await call.catch((thrown) => thrown)) as APIError;
            if (stream && traits.saysItInStreams === false) {
              expect([error.status, error.code]).toEqual([502, "engine_failed"]);
              continue;
            }
            expect([error.status, error.code, error.param]).toEqual([400, "context_length_exceeded", "messages"]);
            expect(error.message).toContain("maximum context length");
          }
        },
        TEST_MS_MAX,
      );
    }

    test(
      "a caller who hangs up leaves nothing behind",
      async () => {
        for (let round = 0; round < 3; round++) {
          const stream = await client().chat.completions.create({ ...base, max_completion_tokens: 400, stream: true });
          for await (const _ of stream) break;
        }
        const after = await client().chat.completions.create({ ...base, max_completion_tokens: 1 });
        expect(after.choices).toHaveLength(1);
      },
      TEST_MS_MAX,
    );

    test(
      "several callers at a time are all served",
      async () => {
        const answers = await Promise.all(
          Array.from({ length: 6 }, (_, at) =>
            client().chat.completions.create({ ...base, messages: [{ role: "user", content: `Number ${at}` }] }),
          ),
        );
        expect(answers.every(({ usage }) => usage!.completion_tokens > 0)).toBe(true);
      },
      TEST_MS_MAX,
    );

    testTraffic(server);
  });
}

/** A tool whose arguments come to an end whatever the model wants to say. */
const CLOSED = {
  type: "function" as const,
  function: {
    name: "get_weather",
    description: "Get the weather for a location",
    parameters: {
      type: "object",
      properties: { location: { type: "string", enum: ["Paris", "Tokyo"] }, celsius: { type: "boolean" } },
      required: ["location", "celsius"],
      additionalProperties: false,
    },
  },
};

/** Engines that share two cores with everything else. */
const TEST_MS_MAX = 60_000;
