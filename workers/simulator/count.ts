// POST /v1/count: what the prompt of a call costs, without making the call.

import {
  ApiError,
  type ChatRequest,
  COUNT_FIELD,
  type PromptCount,
  parseChatRequest,
  parseCompletionRequest,
  parseEmbeddingRequest,
  parseJsonObject,
} from "@oxbow/contract";
import { promptsRead } from "./completions.ts";
import { promptTokens } from "./conversation.ts";
import { tokensRead } from "./embeddings.ts";
import { json } from "./http.ts";

/** @throws ApiError for what is no call, or no call of an endpoint with prompts */
export async function count(request: Request): Promise<Response> {
  const path = request.headers.get(COUNT_FIELD) ?? "";
  const counting = Object.hasOwn(COUNTED, path) ? COUNTED[path] : undefined;
  if (!counting) throw new ApiError("unknown_url", `No prompts of ${path.slice(0, 128)} are counted here.`);
  return json({ prompt_tokens: counting(parseJsonObject(await request.bytes())) } satisfies PromptCount);
}

const COUNTED: Record<string, (body: Record<string, unknown>) => number> = {
  "/v1/chat/completions": (body) => promptTokens(textsOnly(parseChatRequest(body))).length,
  "/v1/embeddings": (body) => tokensRead(parseEmbeddingRequest(body)).reduce((sum, { length }) => sum + length, 0),
  "/v1/completions": (body) => promptsRead(parseCompletionRequest(body)).reduce((sum, { length }) => sum + length, 0),
};

/** Without what is no text: a plan's cap is about texts, and what else a prompt holds costs what its model says. */
function textsOnly(call: ChatRequest): ChatRequest {
  const messages = call.messages.map((message) => {
    if (message.role !== "user" || typeof message.content === "string") return message;
    return { ...message, content: message.content.filter((part) => part.type === "text") };
  });
  return { ...call, messages };
}
