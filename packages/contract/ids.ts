// Identifiers as clients know them: a prefix that says what it names, then random characters.

import { randomBytes } from "node:crypto";

export type IdPrefix = "chatcmpl-" | "cmpl-" | "call_" | "req_" | "resp_" | "msg_" | "fc_" | "rs_";

/** A new identifier: `req_` and 32 hex digits; the others 29 letters and digits (`call_` 24), as OpenAI's have. */
export function newId(prefix: IdPrefix): string {
  // Every answer has one, so the quickest source of 32 digits: 122 of their 128 bits are random.
  if (prefix === "req_") return prefix + crypto.randomUUID().replaceAll("-", "");
  return prefix + letters(prefix === "call_" ? 24 : 29);
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
