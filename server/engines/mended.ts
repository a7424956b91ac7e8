// Reads the answer of a remote engine as the answer that our callers know: events in the one framing, our id of the model,
// what the kind's row asks to be repaired, errors in the words of our table. What is right passes as the engine wrote it.

import { type ApiError, answerNotUnderstood } from "@oxbow/contract";
import type { RemoteKind } from "../config.ts";
import type { EngineAnswer } from "./answer.ts";
import { choicesOf, type Json } from "./json.ts";
import { mendedEvents } from "./mended-events.ts";
import { isError, mendWhole, parse } from "./mending.ts";
import { createGatherer, eventsOf, hasBothForms } from "./recast.ts";
import { remoteError } from "./refusals.ts";
import { readAnswer, readWhole } from "./relay.ts";
import { createTally } from "./repairs/tally.ts";
import type { Said } from "./said.ts";
import { readTranscript } from "./transcript-events.ts";

/** Endpoints whose answers are JSON that we know. All others are passed on as they come. */
const KNOWN = new Set(["/v1/chat/completions", "/v1/completions", "/v1/embeddings"]);

/**
 * @param response with a status of success
 * @throws RelayedError, ApiError for an error that stands in place of the answer, and for what is no answer
 */
export async function readMended(response: Response, said: Said, remote: RemoteKind): Promise<EngineAnswer> {
  if (said.path === "/v1/audio/transcriptions") return readAnswer(readTranscript(response, said, remote), said.path);
  if (!KNOWN.has(said.path)) return readAnswer(response, said.path);
  const isStream = (response.headers.get("content-type") ?? "").startsWith("text/event-stream");
  if (isStream && response.body) {
    if (said.stream) return { kind: "stream", events: mendedEvents(response.body, said, remote) };
    if (hasBothForms(said.path)) return mendedWhole(await gathered(response.body, said, remote), said, remote);
    void response.body.cancel();
    throw unusable("it streamed, and nobody asked for a stream");
  }
  const bytes = await readWhole(response);
  if (!said.stream || !hasBothForms(said.path)) return mendedWhole(bytes, said, remote);
  const answer = answerIn(bytes, said, remote);
  const events = eventsOf(answer, choicesOf(answer), said.path, said.wantsUsage);
  return { kind: "stream", events: mendedEvents(new Response(events).body!, said, remote) };
}

/** What the events of a stream come to, where a whole answer was asked for. */
async function gathered(body: ReadableStream<Uint8Array>, said: Said, remote: RemoteKind): Promise<Uint8Array> {
  const events = mendedEvents(body, { ...said, wantsUsage: true }, remote);
  const gatherer = createGatherer(said.path);
  let size = 0;
  for (;;) {
    const frame = await events.next().catch((cause) => {
      throw unusable("its stream broke off, and nobody asked for a stream", cause);
    });
    if (frame === null) return new TextEncoder().encode(JSON.stringify(gatherer.end()));
    if (frame.error) throw frame.error;
    size += frame.bytes.length;
    if (size > EVENTS_BYTES_MAX) {
      events.cancel();
      throw unusable(`its stream is longer than ${EVENTS_BYTES_MAX} bytes`);
    }
    gatherer.push(frame.bytes);
  }
}

/** Events say a head of some hundred bytes with each token. */
const EVENTS_BYTES_MAX = 256 * 1024 * 1024;

/** @throws ApiError, RelayedError for an error in its place, and for what is no answer */
function answerIn(bytes: Uint8Array, said: Said, remote: RemoteKind): Json {
  const answer = parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString());
  if (answer === null) throw unusable("its answer is no JSON object");
  if (isError(answer)) throw remoteError(answer, null, remote, said);
  const holder = said.path === "/v1/embeddings" ? answer.data : answer.choices;
  if (!Array.isArray(holder) || holder.length === 0) throw unusable("its answer holds nothing");
  return answer;
}

function mendedWhole(bytes: Uint8Array, said: Said, remote: RemoteKind): EngineAnswer {
  const answer = answerIn(bytes, said, remote);
  const tally = createTally(said);
  const changed = mendWhole(answer, said, remote, tally);
  const { prompt_tokens, completion_tokens } = tally.counts();
  const usage = { prompt_tokens, completion_tokens: said.path === "/v1/embeddings" ? 0 : completion_tokens };
  const mended = changed ? new TextEncoder().encode(JSON.stringify(answer)) : bytes;
  return { kind: "whole", bytes: mended, contentType: "application/json", usage };
}

function unusable(why: string, cause?: unknown): ApiError {
  return answerNotUnderstood(new Error(why, { cause }));
}
