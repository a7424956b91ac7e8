// HTTP/1.1 as bytes: reads messages without hiding header names or chunk borders, and sends requests that no client
// library would send. Knows nothing of the API.

import { connect } from "node:net";

/** One request or response as it stood on the wire. */
export interface Message {
  startLine: string;
  /** Names and values as they were sent. */
  headers: [name: string, value: string][];
  body: Buffer;
  /** The pieces of a chunked body, as they were cut by the sender. */
  chunks: Buffer[];
  /** False when the connection ended before the message did. */
  complete: boolean;
}

/** The value of a header field, whatever the case of its name; null when it is missing. */
export function headerOf(message: Message, name: string): string | null {
  const found = message.headers.find(([key]) => key.toLowerCase() === name);
  return found ? found[1] : null;
}

export function statusOf(message: Message): number {
  return Number(message.startLine.split(" ")[1]);
}

/**
 * Reads one message that starts at `from`.
 *
 * @param bodyless for an answer to HEAD, which names a length and has no body
 * @returns null when not even the header is there
 */
export function readMessage(bytes: Buffer, from: number, bodyless = false): { message: Message; end: number } | null {
  const headEnd = bytes.indexOf("\r\n\r\n", from);
  if (headEnd < 0) return null;
  const [startLine, ...lines] = bytes.toString("latin1", from, headEnd).split("\r\n");
  const headers = lines.map((line): [string, string] => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon), line.slice(colon + 1).trim()];
  });
  const message: Message = { startLine: startLine!, headers, body: Buffer.alloc(0), chunks: [], complete: true };
  const start = headEnd + 4;

  const isResponse = startLine!.startsWith("HTTP/");
  const status = isResponse ? statusOf(message) : 0;
  if (bodyless || status === 204 || status === 304 || (isResponse && status < 200)) return { message, end: start };
  if (/chunked/i.test(headerOf(message, "transfer-encoding") ?? "")) {
    return { message, end: readChunks(bytes, start, message) };
  }
  const length = headerOf(message, "content-length");
  // Without a length a request has no body, and a response lasts until the connection ends.
  const end = length !== null ? start + Number(length) : isResponse ? bytes.length : start;
  message.body = bytes.subarray(start, end);
  message.complete = end <= bytes.length;
  return { message, end: Math.min(end, bytes.length) };
}

function readChunks(bytes: Buffer, from: number, message: Message): number {
  let at = from;
  for (;;) {
    const lineEnd = bytes.indexOf("\r\n", at);
    const size = lineEnd < 0 ? Number.NaN : Number.parseInt(bytes.toString("latin1", at, lineEnd), 16);
    const start = lineEnd + 2;
    if (Number.isNaN(size) || start + size + 2 > bytes.length) {
      // What came of a chunk that was cut short still counts as seen.
      if (!Number.isNaN(size)) message.chunks.push(bytes.subarray(start));
      message.complete = false;
      at = bytes.length;
      break;
    }
    at = start + size + 2;
    if (size === 0) break;
    message.chunks.push(bytes.subarray(start, start + size));
  }
  message.body = Buffer.concat(message.chunks);
  return at;
}

export interface SendOptions {
  /** Ends the exchange early, from our side, once what has come so far satisfies this. */
  until?: (bytes: Buffer) => boolean;
  /** How long the whole exchange may take before it counts as hung. */
  timeoutMs?: number;
}

/**
 * Writes `bytes` to a fresh connection and reads the answer.
 *
 * @returns the answer; null when the server closed the connection without one
 * @throws Error when no whole answer came within `timeoutMs` (10 s)
 */
export function sendBytes(port: number, bytes: Buffer | string, options: SendOptions = {}): Promise<Message | null> {
  const isHead = Buffer.from(bytes as string).toString("latin1", 0, 5) === "HEAD ";
  return new Promise((resolve, reject) => {
    const received: Buffer[] = [];
    const socket = connect(port, "127.0.0.1");
    const timer = setTimeout(() => finish(new Error("no whole answer in time")), options.timeoutMs ?? 10_000);
    let settled = false;
    function finish(error?: Error) {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      socket.destroy();
      if (error) reject(error);
      else resolve(finalAnswer(Buffer.concat(received), isHead));
    }
    socket.on("connect", () => socket.write(bytes));
    socket.on("data", (piece: Buffer) => {
      received.push(piece);
      const all = Buffer.concat(received);
      if (options.until?.(all) || isWhole(all, isHead)) finish();
    });
    // A server that refuses a body may close before it has read all of it: the answer, if any, is here already.
    socket.on("error", () => finish());
    socket.on("close", () => finish());
  });
}

/** One request in well-formed HTTP; a body gets its length and, unless given, the content type of JSON. */
export function request(
  port: number,
  method: string,
  path: string,
  { headers = {}, body, ...options }: SendOptions & { headers?: Record<string, string>; body?: Buffer | string } = {},
): Promise<Message | null> {
  const payload = body === undefined ? undefined : Buffer.from(body as string);
  const fields: Record<string, string> = { host: `127.0.0.1:${port}` };
  if (payload) Object.assign(fields, { "content-type": "application/json", "content-length": String(payload.length) });
  for (const [name, value] of Object.entries(headers)) fields[name.toLowerCase()] = value;
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n`, "latin1");
  return sendBytes(port, payload ? Buffer.concat([head, payload]) : head, options);
}

/** Skips interim answers such as `100 Continue`. */
function finalAnswer(bytes: Buffer, isHead: boolean): Message | null {
  let at = 0;
  for (;;) {
    const found = readMessage(bytes, at, isHead);
    if (!found || statusOf(found.message) >= 200) return found?.message ?? null;
    at = found.end;
  }
}

function isWhole(bytes: Buffer, isHead: boolean): boolean {
  const answer = finalAnswer(bytes, isHead);
  if (!answer?.complete) return false;
  const framed = headerOf(answer, "content-length") ?? headerOf(answer, "transfer-encoding");
  return isHead || framed !== null || statusOf(answer) === 204 || statusOf(answer) === 304;
}
