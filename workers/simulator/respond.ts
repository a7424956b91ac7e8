// One way out for every endpoint: whole or streamed, at the job's pace, with the fault that was asked for.

import {
  ApiError,
  errorBody,
  inBandError,
  SSE_DONE,
  SSE_HEADERS,
  type TokenCounts,
  USAGE_FIELD,
  usageComment,
} from "@oxbow/contract";
import { createBody } from "./body.ts";
import type { Job } from "./engine.ts";
import { cutAt, type Fault, withFault } from "./faults.ts";
import { wait, waitForever } from "./pace.ts";

export interface Answer {
  stream: boolean;
  /** Steps in time: tokens of the longest choice. */
  steps: number;
  /** Events of a stream, one piece per step, then the last ones; without their end. */
  events(): Iterable<string>;
  /** What is written as JSON, or a text of another type. */
  whole(): object | Written;
  /** What ends a stream behind its events; absent: `[DONE]`. */
  end?: string;
  finish: string;
  usage: TokenCounts;
  /** Whether a stream tells its usage behind `[DONE]`. */
  wantsUsage: boolean;
}

/** An answer in its own words. */
export class Written {
  readonly text: string;
  readonly contentType: string;

  constructor(text: string, contentType = "application/json") {
    this.text = text;
    this.contentType = contentType;
  }
}

/** @throws ApiError for a fault that a whole answer cannot hold; the signal's reason on hang-up */
export async function respond(answer: Answer, job: Job, fault: Fault | null): Promise<Response> {
  if (fault?.kind === "empty") {
    job.end("error", 0);
    return new Response(null, { headers: answer.stream ? SSE_HEADERS : JSON_HEADERS });
  }
  if (answer.stream) return streamed(answer, job, fault);
  try {
    return await whole(answer, job, fault);
  } finally {
    job.end("error", 0);
  }
}

const JSON_HEADERS = { "content-type": "application/json" };

function streamed(answer: Answer, job: Job, fault: Fault | null): Response {
  const pieces = fault ? withFault(toDone(answer), answer.steps, fault) : toDone(answer);
  const body = createBody(pieces, {
    firstMs: job.firstMs,
    betweenMs: job.betweenMs,
    steps: answer.steps,
    signal: job.signal,
    onAbort: () => inBandError(errorBody(errorOf(job.signal.reason))),
    onEnd: (error) =>
      error === undefined ? job.end(answer.finish, answer.usage.completion_tokens) : job.end("error", 0),
  });
  return new Response(body, { headers: answer.wantsUsage ? { ...SSE_HEADERS, [USAGE_FIELD]: "1" } : SSE_HEADERS });
}

function errorOf(reason: unknown): ApiError {
  return reason instanceof ApiError ? reason : new ApiError("engine_interrupted", "The call was ended.");
}

function* toDone(answer: Answer): Generator<string> {
  yield* answer.events();
  yield (answer.end ?? SSE_DONE) + (answer.wantsUsage ? usageComment(answer.usage) : "");
}

async function whole(answer: Answer, job: Job, fault: Fault | null): Promise<Response> {
  const ms = job.firstMs + job.betweenMs * Math.max(0, answer.steps - 1);
  if (ms > 0) await wait(ms, job.signal);
  const made = answer.whole();
  const { text, contentType } = made instanceof Written ? made : new Written(JSON.stringify(made));
  const headers = { "content-type": contentType };
  switch (fault?.kind) {
    case "interrupt":
      throw new ApiError("engine_failed", "The engine failed in the middle of the answer. (simulated)");
    case "stall":
      return await waitForever(job.signal);
    case "garbage":
      return new Response(text.slice(0, text.length / 2), { headers });
    case "reset":
      return new Response(cutBody(text, fault.atByte ?? Math.floor(text.length / 2), job), { headers });
  }
  job.end(answer.finish, answer.usage.completion_tokens);
  return new Response(text, { headers });
}

function cutBody(text: string, bytes: number, job: Job): ReadableStream<Uint8Array> {
  return createBody(cutAt([text], bytes), {
    firstMs: 0,
    betweenMs: 0,
    steps: 0,
    signal: job.signal,
    onAbort: () => "",
    onEnd: () => job.end("error", 0),
  });
}
