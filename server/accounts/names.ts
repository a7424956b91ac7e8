// What people call things: nothing that could make a list on a terminal say something else.

import { AccountsError } from "./errors.ts";

/**
 * The name without spaces around it.
 * @param what begins the sentence when it cannot be one
 * @throws AccountsError
 */
export function checkLabel(what: string, name: string): string {
  const trimmed = name.trim();
  if (/^[^\p{C}\p{Zl}\p{Zp}]{1,64}$/u.test(trimmed)) return trimmed;
  throw new AccountsError(`${what} must have 1 to 64 characters, and no control characters.`);
}

/** What was typed, as it may be repeated: short, and without control characters. */
export function shown(text: string): string {
  return `'${text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "?").slice(0, 64)}'`;
}
