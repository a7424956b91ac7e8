// Keeps what a real engine answered, byte for byte and piece by piece, and plays it again to whoever asks the same.

import { createHash } from "node:crypto";
import { ROOT } from "../harness.ts";

export interface Recording {
  engine: string;
  version: string;
  /** Day of the recording. */
  made: string;
  exchanges: Exchange[];
}

export interface Exchange {
  /** Method and path. */
  call: string;
  /** Of the body, as JSON with sorted keys; what Oxbow makes up for each account is left out. */
  hash: string;
  /** The body, when it is short. */
  body?: string;
  status: number;
  contentType: string;
  /** As they came. */
  pieces: string[];
  /** The caller hung up before the end. */
  cut?: true;
}

/** A line for the head, and one for each exchange. */
export function writtenOf({ exchanges, ...head }: Recording): string {
  return [head, ...exchanges].map((line) => `${JSON.stringify(line)}\n`).join("");
}

export function readRecording(text: string): Recording {
  const [head, ...exchanges] = text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  return { ...head, exchanges };
}

/** Ours for each run: no part of what is asked. */
const VOLATILE = new Set(["cache_salt", "user"]);
const BODY_LENGTH_MAX = 600;

/** Stands between Oxbow and the engine at `origin`, and keeps what goes through. */
export function openRecorder(origin: string) {
  const exchanges: Exchange[] = [];
  const server = listen(async ({ request, path, call, text }) => {
    const answer = await fetch(origin + path, {
      method: request.method,
      headers: { "content-type": request.headers.get("content-type") ?? "", "accept-encoding": "identity" },
      ...(text === "" ? {} : { body: text }),
      signal: request.signal,
      // A real server may close an idle connection at any moment, and that is not what is recorded here.
      keepalive: false,
    });
    const { status } = answer;
    const contentType = answer.headers.get("content-type") ?? "";
    const kept: Exchange = { call, ...keyOf(text), status, contentType, pieces: [] };
    // How it is is asked for all the time: once is enough.
    if (request.method !== "GET" || !exchanges.some((known) => known.call === call)) exchanges.push(kept);
    return new Response(answer.body && keeping(answer.body, kept), {
      status,
      headers: { "content-type": contentType },
    });
  });
  return { ...server, exchanges };
}

function keeping(body: ReadableStream<Uint8Array>, kept: Exchange): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  return new ReadableStream({
    async pull(controller) {
      const { value, done } = await reader.read();
      if (done || !value) return controller.close();
      // Where the project is on this machine is nobody's affair.
      kept.pieces.push(decoder.decode(value, { stream: true }).replaceAll(ROOT, "/oxbow"));
      controller.enqueue(value);
    },
    cancel() {
      kept.cut = true;
      return reader.cancel();
    },
  });
}

/** An engine that says what it said before. Calls that were made twice are answered in turn, and the last one for ever. */
export function openPlayer({ engine, exchanges }: Recording) {
  const byKey = new Map<string, Exchange[]>();
  for (const exchange of exchanges) {
    const key = `${exchange.call} ${exchange.hash}`;
    byKey.set(key, [...(byKey.get(key) ?? []), exchange]);
  }
  const unknown: string[] = [];
  const server = listen(async ({ call, text }) => {
    const known = byKey.get(`${call} ${keyOf(text).hash}`);
    if (!known) {
      unknown.push(`${call} ${text.slice(0, BODY_LENGTH_MAX)}`);
      const error = { message: `${engine} was never asked this: record it again` };
      return Response.json({ error }, { status: 500 });
    }
    const { status, contentType, pieces, cut } = known.length > 1 ? known.shift()! : known[0]!;
    return new Response(playing(pieces, cut === true), { status, headers: { "content-type": contentType } });
  });
  return { ...server, unknown };
}

/** @param stays whether it goes on for ever: its caller hung up, and so will this one */
function playing(pieces: string[], stays: boolean): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at < pieces.length) controller.enqueue(encoder.encode(pieces[at++]));
      else if (!stays) controller.close();
      else return new Promise(() => {});
      return undefined;
    },
  });
}

interface Asked {
  request: Request;
  /** With its query. */
  path: string;
  /** Method and path. */
  call: string;
  text: string;
}

/** A server on a port of its own that is never idle. */
function listen(answer: (asked: Asked) => Promise<Response>) {
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    idleTimeout: 0,
    async fetch(request) {
      const { pathname, search } = new URL(request.url);
      const path = pathname + search;
      return answer({ request, path, call: `${request.method} ${path}`, text: await request.text() });
    },
  });
  return { url: `${server.url.origin}/v1`, stop: () => server.stop(true) };
}

function keyOf(text: string): { hash: string; body?: string } {
  const said = text === "" ? "" : JSON.stringify(sorted(JSON.parse(text)));
  const hash = createHash("sha256").update(said).digest("hex").slice(0, 16);
  return said === "" || said.length > BODY_LENGTH_MAX ? { hash } : { hash, body: said };
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const names = Object.keys(value).filter((name) => !VOLATILE.has(name));
  return Object.fromEntries(names.sort().map((name) => [name, sorted((value as Record<string, unknown>)[name])]));
}
