// What only the simulator understands in its entry of data/engines.yaml, checked once.

import Type, { type Static } from "typebox";
import { Check, Errors } from "typebox/schema";

const Options = Type.Object(
  {
    /** Also listen on this TCP port of the loopback interface; 0 for any free one (it is logged). */
    port: Type.Optional(Type.Integer({ minimum: 0, maximum: 65535 })),
    /** First token: `ttftMs` + `promptMsPerToken` for each prompt token not in the prefix cache; then `itlMs` each. */
    ttftMs: Type.Optional(Type.Number({ minimum: 0 })),
    promptMsPerToken: Type.Optional(Type.Number({ minimum: 0 })),
    itlMs: Type.Optional(Type.Number({ minimum: 0 })),
    /** Whose metric names, order of priorities and extra endpoints to wear. */
    dress: Type.Optional(Type.Union([Type.Literal("plain"), Type.Literal("vllm"), Type.Literal("sglang")])),
    /** Whether `priority` orders the line. Without it vLLM refuses the field and SGLang ignores it. */
    prioritySupported: Type.Optional(Type.Boolean()),
    /** Calls that may wait for a slot. */
    waitingMax: Type.Optional(Type.Integer({ minimum: 0 })),
    /** Tokens that the prefix cache remembers, and tokens of running calls that count as a full memory. */
    cacheTokens: Type.Optional(Type.Integer({ minimum: 16 })),
    kvTokens: Type.Optional(Type.Integer({ minimum: 1 })),
  },
  { additionalProperties: false },
);
export type SimulatorOptions = Required<Omit<Static<typeof Options>, "port">> & { port: number | undefined };

/** @throws Error naming the bad option */
export function readOptions(given: Record<string, unknown>): SimulatorOptions {
  if (!Check(Options, given)) {
    const [, errors] = Errors(Options, given);
    throw new Error(`options${errors[0]?.instancePath ?? ""}: ${errors[0]?.message ?? "not understood"}`);
  }
  const dress = given.dress ?? "plain";
  return {
    port: given.port,
    ttftMs: given.ttftMs ?? 0,
    promptMsPerToken: given.promptMsPerToken ?? 0,
    itlMs: given.itlMs ?? 0,
    dress,
    prioritySupported: given.prioritySupported ?? dress === "plain",
    waitingMax: given.waitingMax ?? 4096,
    cacheTokens: given.cacheTokens ?? 1_048_576,
    kvTokens: given.kvTokens ?? 1_048_576,
  };
}
