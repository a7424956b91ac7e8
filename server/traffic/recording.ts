// Writes down the calls of some accounts, so that they can be sent again: to another model, another engine, another version.
// What is written is redacted first (redact.ts). Off unless the operator names the accounts.

import { readFileSync } from "node:fs";
import { readSaid, type Said } from "./answer.ts";
import type { Begun, FirstAnswer } from "./copy.ts";
import { redact, redactText } from "./redact.ts";

/** A line of a recording. */
export interface Recorded {
  /** When it ended; Unix milliseconds. */
  at: number;
  account: string;
  path: string;
  /** What the caller asked for. */
  model: string;
  stream: boolean;
  body: Record<string, unknown>;
  answer: Said & { status: number; code: string };
  durationMs: number;
  ttftMs: number | null;
}

/** Of a body, and of an answer: longer ones would take long to redact. */
const RECORDED_BYTES_MAX = 262_144;

/** @returns null: it is too long to be recorded */
export function recordingOf(call: Begun, { record, bytes, cut }: FirstAnswer, at: number): Recorded | null {
  if (cut || bytes.length > RECORDED_BYTES_MAX || call.body.length > RECORDED_BYTES_MAX) return null;
  const body = JSON.parse(new TextDecoder().decode(call.body)) as Record<string, unknown>;
  const said = redactSaid(readSaid(bytes));
  return {
    at,
    account: call.accountId,
    path: call.path,
    model: call.model,
    stream: record.stream,
    body: { ...(redact(body) as Record<string, unknown>), model: call.model },
    answer: {
      ...said,
      tokensIn: record.tokensIn || said.tokensIn,
      tokensOut: record.tokensOut || said.tokensOut,
      status: record.status,
      code: record.code,
    },
    durationMs: Math.round(record.durationMs),
    ttftMs: record.firstTokenMs,
  };
}

/** An answer in the words in which one would have been recorded. */
export function redactSaid(said: Said): Said {
  return { ...said, text: redactText(said.text), calls: redactText(said.calls) };
}

/**
 * The calls of a recording, in the order in which they ended. A last line that was cut off is left out.
 * @throws Error with the number of the first line that is none
 */
export function readRecording(file: string): Recorded[] {
  const lines = readFileSync(file, "utf8").split("\n");
  return lines.flatMap((line, index) => {
    if (line === "") return [];
    try {
      const value = JSON.parse(line) as Recorded;
      if (isRecorded(value)) return [value];
    } catch (cause) {
      if (index === lines.length - 1) return [];
      throw new Error(`${file}: line ${index + 1} is no JSON`, { cause });
    }
    throw new Error(`${file}: line ${index + 1} is no recorded call`);
  });
}

function isRecorded(value: Partial<Recorded> | null): boolean {
  return typeof value?.path === "string" && typeof value.body === "object" && typeof value.answer?.text === "string";
}
