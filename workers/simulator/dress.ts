// Endpoints that the imitated engines have beside the wire: vLLM's sleep mode and its tokenizer.
// Source: vLLM documentation, "Sleep Mode" and "OpenAI-Compatible Server" (tokenizer API), read 2026-11-21.

import { ApiError, parseChatRequest, parseJsonObject, type WorkerModel } from "@oxbow/contract";
import project from "../../package.json" with { type: "json" };
import { promptTokens } from "./conversation.ts";
import type { Engine } from "./engine.ts";
import { json, type Route } from "./http.ts";
import type { SimulatorOptions } from "./options.ts";
import { decode, encode } from "./tokenizer.ts";

export function engineRoutes(
  dress: SimulatorOptions["dress"],
  engine: Engine,
  findModel: (id: string) => WorkerModel,
): Record<string, Route> {
  const tokenizer: Record<string, Route> = {
    "POST /tokenize": async (request) => {
      const body = parseJsonObject(await request.bytes());
      const tokens = tokensOf(body);
      const model = typeof body.model === "string" ? findModel(body.model) : null;
      return json({ count: tokens.length, max_model_len: model?.contextTokens ?? null, tokens });
    },
    "POST /detokenize": async (request) => {
      const { tokens } = parseJsonObject(await request.bytes());
      if (!Array.isArray(tokens)) throw missing("tokens");
      return json({ prompt: tokens.map((id) => decode(Number(id))).join("") });
    },
  };
  const version = { version: `${project.version}+simulated` };
  if (dress === "sglang") return { ...tokenizer, "GET /get_server_info": () => json(version) };
  if (dress !== "vllm") return tokenizer;
  return {
    ...tokenizer,
    "POST /sleep": () => {
      engine.sleep();
      return new Response(null);
    },
    "POST /wake_up": () => {
      engine.wakeUp();
      return new Response(null);
    },
    "GET /is_sleeping": () => json({ is_sleeping: engine.isSleeping() }),
    "GET /version": () => json(version),
  };
}

/** Of a text, or of a conversation as its template would write it. */
function tokensOf(body: Record<string, unknown>): number[] {
  if (body.messages !== undefined) return promptTokens(parseChatRequest(body));
  if (typeof body.prompt !== "string") throw missing("prompt");
  return encode(body.prompt);
}

function missing(param: string): ApiError {
  return new ApiError("missing_required_parameter", `Missing required parameter: '${param}'.`, { param });
}
