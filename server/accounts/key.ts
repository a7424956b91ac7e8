// The form of an API key: `ox_live_` + id (8) + `_` + secret (43) + checksum (6), all letters and digits. The id may be
// shown; the secret has 256 bits; the checksum tells a slip of the pen from a key that is not known here, without a look
// at the database, and lets scanners of leaked secrets recognise a real one.

import { randomBytes } from "node:crypto";
import { crc32 } from "node:zlib";

const PREFIX = "ox_live_";
const ID_LENGTH = 8;
/** 62^43 is the first power of 62 above 2^256. */
const SECRET_LENGTH = 43;
/** 62^6 is the first power of 62 above 2^32. */
const CHECKSUM_LENGTH = 6;
const SHAPE = new RegExp(`^${PREFIX}([A-Za-z0-9]{${ID_LENGTH}})_[A-Za-z0-9]{${SECRET_LENGTH + CHECKSUM_LENGTH}}$`);

export interface NewKey {
  id: string;
  /** The whole key, to be shown once. */
  key: string;
}

/** @param random as many unpredictable bytes as it is asked for */
export function newKey(random: (bytes: number) => Uint8Array = randomBytes): NewKey {
  const id = newKeyId(random);
  const open = `${PREFIX}${id}_${base62(random(32), SECRET_LENGTH)}`;
  return { id, key: open + checksumOf(open) };
}

/** An id for a key that does not carry its own. */
export function newKeyId(random: (bytes: number) => Uint8Array = randomBytes): string {
  // Many more bytes than eight digits hold, so that the remainder favours no digit that anyone could notice.
  return base62(random(16), ID_LENGTH);
}

/**
 * What a string is when taken for a key:
 *  - ours: with its id;
 *  - "misspelled": begins like ours, and cannot be one of ours as it stands;
 *  - "foreign": has another form, as a key chosen by the operator may.
 */
export function readKey(text: string): { id: string } | "misspelled" | "foreign" {
  if (!text.startsWith(PREFIX)) return "foreign";
  const id = SHAPE.exec(text)?.[1];
  const checked = text.length - CHECKSUM_LENGTH;
  if (id === undefined || checksumOf(text.slice(0, checked)) !== text.slice(checked)) return "misspelled";
  return { id };
}

/** A key as it may be quoted: enough to know which one it is, and of no use to anyone else. */
export function maskKey(text: string): string {
  if (text.startsWith(PREFIX) && text.length > PREFIX.length + ID_LENGTH)
    return `${text.slice(0, PREFIX.length + 2)}…****`;
  // Somebody's secret of another kind. Three characters of a short one would be too many.
  return text.length >= 16 && /^[\x21-\x7e]{3}/.test(text) ? `${text.slice(0, 3)}…****` : "****";
}

function checksumOf(text: string): string {
  const sum = crc32(text);
  return base62([sum >>> 24, sum >>> 16, sum >>> 8, sum], CHECKSUM_LENGTH);
}

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** The last `length` digits of a number in base 62. */
function base62(bytes: Iterable<number>, length: number): string {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte & 0xff);
  let text = "";
  for (let index = 0; index < length; index++) {
    text = DIGITS[Number(value % 62n)]! + text;
    value /= 62n;
  }
  return text;
}
