// Holds one exchange, as it stood on the wire, to the whole contract: header fields, shapes by the oracle, and the rules
// that SDKs add to them.

import { headerOf, type Message, statusOf } from "./http.ts";
import { imageStreamViolations } from "./images-rules.ts";
import { eventSchemaOf, type SchemaName, violationsOf as shapeViolations } from "./oracle/oracle.ts";
import { ownViolations } from "./oracle/own.ts";
import { RESPONSE_WHOLE_RULES, RESPONSES_STREAM_RULES, seenResponsesStream } from "./responses-rules.ts";
import { CHAT_STREAM_RULES, CHAT_WHOLE_RULES, FRAMING_RULES, isEnvelope, type Rule } from "./rules.ts";
import { seenStream } from "./stream.ts";
import type { Exchange } from "./tap.ts";

/** @returns one line for each violation, each starting with method and path */
export function violationsOf({ request, response, hungUp, open }: Exchange): string[] {
  const [method, target] = request.startLine.split(" ") as [string, string];
  const at = (text: string) => `${method} ${target}: ${text}`;
  if (!response) return hungUp || open || !request.complete ? [] : [at("no answer")];
  const path = target.split("?")[0]!.replace(/(.)\/$/, "$1");
  const found = headerViolations(response);
  if (method !== "HEAD" && method !== "OPTIONS") found.push(...bodyViolations(path, request, response, hungUp || open));
  return found.map(at);
}

function headerViolations(response: Message): string[] {
  const found: string[] = [];
  const expect = (name: string, pattern: RegExp) => {
    const value = headerOf(response, name);
    if (!pattern.test(value ?? "")) found.push(`header ${name} is ${value}`);
  };
  expect("x-request-id", /^req_[0-9a-f]{32}$/);
  expect("openai-processing-ms", /^\d+$/);
  expect("openai-version", /^2020-10-01$/);
  expect("x-content-type-options", /^nosniff$/);
  if (headerOf(response, "content-encoding") !== null) found.push("the answer is compressed");
  const names = response.headers.map(([name]) => name.toLowerCase());
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice) found.push(`header ${twice} is there twice`);
  return found;
}

function bodyViolations(path: string, request: Message, response: Message, mayBeCut: boolean): string[] {
  const status = statusOf(response);
  const type = headerOf(response, "content-type");
  const raw = response.body.toString();
  if (path.startsWith("/v1/audio/") && status === 200) return audioViolations(path, response, mayBeCut);
  if (!response.complete && !mayBeCut) return ["the answer was cut short"];
  if (type?.startsWith("text/event-stream")) {
    if (status !== 200) return [`an event stream with status ${status}`];
    return streamViolations(path, raw, asked(request), response);
  }
  if (!response.complete) return [];
  if (status >= 400) {
    if (type !== "application/json") return [`an error of content type ${type}`];
    const body = parse(raw);
    // What /ready says while it is not ready is a state, and no error of a call.
    if (path === "/ready") return [];
    return isEnvelope(body) ? shapeViolations("ErrorResponse", body) : [`not an error envelope: ${raw.slice(0, 300)}`];
  }
  if (path.startsWith("/v1/blobs/"))
    return /^image\/(png|jpeg|webp)$/.test(type ?? "") ? [] : [`an image of type ${type}`];
  const body = parse(raw);
  if (typeof body !== "object" || body === null) return [`not a JSON object: ${raw.slice(0, 300)}`];
  const seen = { raw, contentType: type, body: body as Record<string, unknown>, request: asked(request) };
  const schema = wholeSchema(path);
  const method = request.startLine.split(" ")[0]!;
  return [
    ...ownViolations(method, path, status, body),
    ...(schema ? shapeViolations(schema, body) : []),
    ...(path === "/v1/chat/completions" ? broken(CHAT_WHOLE_RULES, seen) : []),
    ...(path === "/v1/responses" ? broken(RESPONSE_WHOLE_RULES, seen) : []),
  ];
}

/** Sound is held to its type; what decoders make of it is for the tests of audio. */
function audioViolations(path: string, response: Message, mayBeCut: boolean): string[] {
  if (!response.complete && !mayBeCut) return ["the answer was cut short"];
  const type = headerOf(response, "content-type") ?? "";
  const raw = response.body.toString();
  if (type.startsWith("text/event-stream")) {
    const events = raw.split("\n\n").filter((event) => event.startsWith("data: {"));
    return events.flatMap((event) => {
      const data = parse(event.slice(6)) as { type: string };
      const schema = eventSchemaOf(data.type);
      return schema ? shapeViolations(schema, data) : [`no event of the API is of type ${data.type}`];
    });
  }
  if (path === "/v1/audio/speech") return type.startsWith("audio/") ? [] : [`speech of content type ${type}`];
  if (type === "text/plain; charset=utf-8") return [];
  if (type !== "application/json") return [`a transcript of content type ${type}`];
  const body = parse(raw);
  const verbose = typeof body === "object" && body !== null && "duration" in body;
  return shapeViolations(verbose ? "CreateTranscriptionResponseVerboseJson" : "CreateTranscriptionResponseJson", body);
}

function streamViolations(path: string, raw: string, request: Record<string, unknown>, response: Message): string[] {
  const found: string[] = [];
  if (headerOf(response, "content-type") !== "text/event-stream; charset=utf-8")
    found.push("a stream without its charset");
  if (headerOf(response, "cache-control") !== "no-cache") found.push("a stream that may be cached");
  if (path === "/v1/responses") return [...found, ...responsesViolations(raw, response.complete)];
  if (path.startsWith("/v1/images/")) return [...found, ...imageStreamViolations(raw, response.complete)];
  const seen = seenStream(raw, request, response.complete);
  found.push(...broken(FRAMING_RULES, seen));
  if (path === "/v1/chat/completions") found.push(...broken(CHAT_STREAM_RULES, seen));
  const schema: SchemaName =
    path === "/v1/completions" ? "CreateCompletionStreamResponse" : "CreateChatCompletionStreamResponse";
  return [...found, ...new Set(seen.chunks.flatMap((chunk) => shapeViolations(schema, chunk)))];
}

function responsesViolations(raw: string, whole: boolean): string[] {
  const seen = seenResponsesStream(raw, whole);
  const shapes = seen.events.flatMap((event) => {
    const schema = eventSchemaOf(event.type);
    return schema ? shapeViolations(schema, event) : [`no event of the API is of type ${event.type}`];
  });
  return [...broken(RESPONSES_STREAM_RULES, seen), ...new Set(shapes)];
}

function wholeSchema(path: string): SchemaName | null {
  if (path === "/v1/chat/completions") return "CreateChatCompletionResponse";
  if (path === "/v1/completions") return "CreateCompletionResponse";
  if (path === "/v1/embeddings") return "CreateEmbeddingResponse";
  if (path === "/v1/models") return "ListModelsResponse";
  if (path.startsWith("/v1/models/")) return "Model";
  if (path === "/v1/responses") return "Response";
  if (/^\/v1\/images\/(generations|edits)$/.test(path)) return "ImagesResponse";
  return null;
}

function broken<Seen>(rules: Rule<Seen>[], seen: Seen): string[] {
  return rules.flatMap((rule) => {
    const found = rule.seen(seen);
    return found === undefined ? [] : [`${rule.never}: ${JSON.stringify(found).slice(0, 400)}`];
  });
}

function asked(request: Message): Record<string, unknown> {
  const body = parse(request.body.toString());
  return typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
