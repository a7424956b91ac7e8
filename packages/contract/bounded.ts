// Answers of other programs, read up to a bound and no further: one without an end would take the memory of everybody's
// calls. What every room reads whole goes through here.

/** What has come of a body, and whether that is all of it. */
export interface Bounded {
  bytes: Uint8Array;
  whole: boolean;
}

/**
 * The first `bytesMax` bytes of an answer; hangs up on what is longer.
 * @throws what the connection throws when it breaks off
 */
export async function readUpTo(response: Response, bytesMax: number): Promise<Bounded> {
  if (lengthOf(response) <= bytesMax) return { bytes: await response.bytes(), whole: true };
  const parts: Uint8Array[] = [];
  let size = 0;
  // Leaving the loop hangs up.
  for await (const part of response.body ?? []) {
    parts.push(part);
    size += part.length;
    if (size > bytesMax) return { bytes: Buffer.concat(parts, bytesMax), whole: false };
  }
  return { bytes: parts.length === 1 ? parts[0]! : Buffer.concat(parts), whole: true };
}

/** What it says that it has; NaN when it does not say. */
function lengthOf({ headers }: Response): number {
  const told = headers.get("content-length");
  // A length beside chunks says nothing: what counts then are the chunks (RFC 9112, 6.3).
  return told === null || headers.has("transfer-encoding") ? Number.NaN : Number(told);
}

/**
 * All of an answer.
 * @throws AnswerTooLong at once when it says so itself; what the connection throws when it breaks off
 */
export async function readAll(response: Response, bytesMax: number): Promise<Uint8Array> {
  const length = lengthOf(response);
  if (length <= bytesMax) return response.bytes();
  if (length > bytesMax) {
    void response.body?.cancel().catch(() => {}); // it may have ended by itself
    throw new AnswerTooLong(bytesMax);
  }
  const { bytes, whole } = await readUpTo(response, bytesMax);
  if (!whole) throw new AnswerTooLong(bytesMax);
  return bytes;
}

/**
 * An answer that has to be JSON.
 * @throws AnswerTooLong, NotJson; what the connection throws when it breaks off
 */
export async function readJson(response: Response, bytesMax: number): Promise<unknown> {
  const text = Buffer.from(await readAll(response, bytesMax)).toString();
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new NotJson(response, text, { cause });
  }
}

export class AnswerTooLong extends Error {
  override readonly name = "AnswerTooLong";

  constructor(bytesMax: number) {
    super(`its answer is longer than ${bytesMax} bytes`);
  }
}

/** Something else than JSON has come, such as the page of a login, or of a proxy on the way. */
export class NotJson extends Error {
  override readonly name = "NotJson";
  /** What came, without the address. */
  readonly came: string;

  constructor(response: Response, text: string, options?: ErrorOptions) {
    const came = cameOf(response, text);
    super(`${whenceOf(response)} answered with ${came} instead of JSON`, options);
    this.came = came;
  }
}

/** The address of an answer, without what it may carry of secrets. */
export function whenceOf({ url }: Response): string {
  if (!URL.canParse(url)) return "it";
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}

/** What an answer is, in words for a line of a log or a terminal: its type, and its title when it is a page. */
export function cameOf(response: Response, text: string): string {
  if (text.trim() === "") return "nothing";
  const type = (response.headers.get("content-type") ?? "").split(";")[0]!.trim();
  const title = /<title[^>]*>([^<]{1,200})/i.exec(text.slice(0, HEAD_LENGTH))?.[1];
  const named = title === undefined ? "" : `, a page titled '${plain(title)}',`;
  if (/\bjson\b/.test(type)) return "broken JSON";
  return `${type === "" ? "bytes without a type" : plain(type)}${named}`;
}

/** Where a page has its title. */
const HEAD_LENGTH = 16_384;
const SHOWN_LENGTH_MAX = 80;

function plain(text: string): string {
  return text
    .replace(/[\p{Cc}\s]+/gu, " ")
    .trim()
    .slice(0, SHOWN_LENGTH_MAX);
}
