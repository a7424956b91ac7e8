// Identifiers as clients know them: a prefix that says what it names, then characters that nobody else will have.

import { randomBytes } from "node:crypto";

export type IdPrefix = "chatcmpl-" | "cmpl-" | "call_" | "req_" | "resp_" | "det_" | "msg_" | "fc_" | "rs_";

/** A new identifier: `req_` and 32 hex digits; the others 29 letters and digits (`call_` 24), as OpenAI's have. */
export function newId(prefix: IdPrefix): string {
  if (prefix === "req_") return prefix + requestDigits(Date.now());
  return prefix + letters(prefix === "call_" ? 24 : 29);
}

/**
 * The time in ms, 12 digits, and 80 random bits. Requests of one moment stand side by side in the ledger's indexes, which
 * halves what a commit writes; that they sort by time is a help to whoever reads a log.
 */
function requestDigits(nowMs: number): string {
  return nowMs.toString(16).padStart(12, "0") + randomDigits();
}

/** Of many ids: what makes random bytes takes as long for thousands as for ten. */
let digits = "";
let digitsUsed = 0;
const DIGITS_OF_ONE = 20;
const IDS_AT_ONCE = 128;

function randomDigits(): string {
  if (digitsUsed === digits.length) {
    digits = randomBytes((IDS_AT_ONCE * DIGITS_OF_ONE) / 2).toString("hex");
    digitsUsed = 0;
  }
  digitsUsed += DIGITS_OF_ONE;
  return digits.slice(digitsUsed - DIGITS_OF_ONE, digitsUsed);
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

function letters(count: number): string {
  let text = "";
  // A byte modulo 62 favours some letters a little: good enough to be unique, and never a secret.
  for (const byte of randomBytes(count)) text += ALPHABET[byte % 62];
  return text;
}

export function unixSeconds(nowMs: number = Date.now()): number {
  return Math.floor(nowMs / 1000);
}
