// POST /v1/audio/speech: a tone as long as the text would take to be said, one height for each voice, in every format.

import { openEncoder, SPEECH_SAMPLE_RATE } from "@oxbow/audio";
import {
  charactersOf,
  needsOfSpeech,
  parseSpeechRequest,
  refuseNeeds,
  refuseUnspeakable,
  SPEECH_TYPES,
  SSE_HEADERS,
  speechEvents,
  voiceOf,
} from "@oxbow/contract";
import { type Ask, featuresOf } from "./ask.ts";
import { createBody } from "./body.ts";
import { Cut, type Fault, type Piece, STALL, withFault } from "./faults.ts";
import { hashNumbers } from "./random.ts";

/** Of a calm speaker. */
const SECONDS_PER_CHARACTER = 0.06;

export async function speak({ body, model, engine, simulation, signal }: Ask): Promise<Response> {
  const call = parseSpeechRequest(body);
  refuseNeeds(needsOfSpeech(call), featuresOf(model), model.id);
  // Of a model whose voices nobody has named, every name is one.
  const asked = typeof call.voice === "string" ? call.voice : call.voice.id;
  const voice = model.speech ? voiceOf(call, model.speech.voices) : asked;
  refuseUnspeakable(call);
  const format = call.response_format ?? "mp3";
  const characters = charactersOf(call.input);
  const seconds = (characters * SECONDS_PER_CHARACTER) / (call.speed ?? 1);
  const unlimited = { id: model.id, contextTokens: Number.MAX_SAFE_INTEGER };
  const job = await engine.admit({ model: unlimited, prompts: [], tokensMax: 1, body, simulation, signal });
  let pieces: Uint8Array[];
  try {
    pieces = await encoded(tone(seconds, voice), format);
  } catch (error) {
    job.end("error", 0);
    throw error;
  }
  const isEvents = call.stream_format === "sse";
  const headers = isEvents ? SSE_HEADERS : { "content-type": SPEECH_TYPES[format] };
  const { fault } = simulation;
  if (fault?.kind === "empty") {
    job.end("error", 0);
    return new Response(null, { headers });
  }
  function* events(): Generator<string> {
    for (const piece of pieces) yield speechEvents.delta(piece);
    yield speechEvents.done(characters, pieces.length);
  }
  const sound = () => (fault ? brokenOff(pieces, fault) : pieces.values());
  const told = () => (fault ? withFault(events(), pieces.length, fault) : events());
  const content = createBody(isEvents ? told() : sound(), {
    firstMs: job.firstMs,
    betweenMs: job.betweenMs,
    steps: pieces.length,
    signal: job.signal,
    onAbort: () => "",
    onEnd: (error) => job.end(error === undefined ? "stop" : "error", pieces.length),
  });
  return new Response(content, { headers });
}

/** Sound in which an error cannot be said: it stops, and the connection with it, unless that is what was asked for. */
function* brokenOff(pieces: readonly Uint8Array[], fault: Fault): Generator<Piece> {
  yield* pieces.slice(0, fault.afterTokens ?? 1);
  if (fault.kind === "stall") yield STALL;
  throw new Cut();
}

/** Soft at both ends: a tone that is cut clicks. */
function tone(seconds: number, voice: string): Float32Array {
  const codes = Array.from(voice, (character) => character.codePointAt(0)!);
  const pitch = 180 + (hashNumbers(codes, 0, codes.length, 1) % 240);
  const samples = new Float32Array(Math.max(1, Math.round(seconds * SPEECH_SAMPLE_RATE)));
  const fade = Math.min(samples.length / 2, SPEECH_SAMPLE_RATE / 100);
  for (let at = 0; at < samples.length; at++) {
    const loud = 0.3 * Math.min(1, at / fade, (samples.length - at) / fade);
    samples[at] = loud * Math.sin((2 * Math.PI * pitch * at) / SPEECH_SAMPLE_RATE);
  }
  return samples;
}

/** Half a second in each piece, as far as the format lets go of it. */
async function encoded(samples: Float32Array, format: NonNullable<keyof typeof SPEECH_TYPES>): Promise<Uint8Array[]> {
  const encoder = await openEncoder(format);
  const pieces: Uint8Array[] = [];
  const step = SPEECH_SAMPLE_RATE / 2;
  try {
    for (let at = 0; at < samples.length; at += step) pieces.push(await encoder.push(samples.subarray(at, at + step)));
    pieces.push(await encoder.end());
  } finally {
    encoder.close();
  }
  return pieces.filter(({ length }) => length > 0);
}
