// A hub for tests: speaks the protocol of the Hugging Face hub on loopback, with a storage on an address of its own that it
// points to, and breaks it on order. Counts the bytes of files that it sent.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface HubRepository {
  files: Record<string, Uint8Array>;
  /** Asks for this token, and refuses others as the hub does. */
  gatedFor?: string;
}

/** What is done to one answer of the storage. */
export interface Fault {
  /** Ends the connection after so many bytes of the answer. */
  dropAt?: number;
  /** Sends nothing more after so many bytes, and keeps the connection open. */
  stallAt?: number;
  /** Flips the bits of the first byte that is sent. */
  wrong?: boolean;
  status?: number;
  headers?: Record<string, string>;
  /** Answers with the whole file, whatever part was asked for. */
  ignoreRange?: boolean;
}

export interface TestHub {
  url: string;
  /** Bytes of files that went out. */
  readonly sent: number;
  /** `GET /path`, with `range` and whether there was a token. */
  readonly requests: { path: string; range: string | undefined; token: string | undefined; storage: boolean }[];
  /** For the next answers of the storage, in turn; then none. */
  faults: Fault[];
  /** Bytes a second for each connection; Infinity. */
  pace: number;
  /** When so many bytes of files have gone out since the hub began, it sends no more until this is raised. */
  hold: number;
  /** Resolves when this many bytes of files have gone out since the hub began. */
  reached(bytes: number): Promise<void>;
  /** What the hub says about a repository, for tests of names that must not be believed. */
  tree?: (repository: string) => unknown;
  stop(): Promise<void>;
}

export const COMMIT = "0123456789abcdef0123456789abcdef01234567";

const PIECE_BYTES = 64 * 1024;
const HOLD_POLL_MS = 2;
/** Small, so that listings come in pages. */
const PAGE = 3;

export async function startHub(repositories: Record<string, HubRepository>): Promise<TestHub> {
  let sent = 0;
  const waiting: { bytes: number; resolve: () => void }[] = [];
  const count = (bytes: number) => {
    sent += bytes;
    for (const each of waiting.splice(0)) {
      if (sent >= each.bytes) each.resolve();
      else waiting.push(each);
    }
  };
  const storage = createServer((request, response) => void serveFile(request, response));
  const server = createServer((request, response) => serve(request, response));
  const storageUrl = await listen(storage);
  const url = await listen(server);

  const hub: TestHub = {
    url,
    get sent() {
      return sent;
    },
    requests: [],
    faults: [],
    pace: Number.POSITIVE_INFINITY,
    hold: Number.POSITIVE_INFINITY,
    reached(bytes) {
      if (sent >= bytes) return Promise.resolve();
      return new Promise((resolve) => waiting.push({ bytes, resolve }));
    },
    async stop() {
      for (const each of [server, storage]) {
        each.closeAllConnections();
        await new Promise((resolve) => each.close(resolve));
      }
    },
  };

  function note(request: IncomingMessage, isStorage: boolean) {
    const { range, authorization } = request.headers;
    hub.requests.push({ path: request.url!, range, token: authorization, storage: isStorage });
  }

  function serve(request: IncomingMessage, response: ServerResponse) {
    note(request, false);
    const { pathname, searchParams } = new URL(request.url!, url);
    const api = /^\/api\/models\/([^/]+\/[^/]+)\/(revision|tree)\/([^/]+)$/.exec(pathname);
    const file = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(pathname);
    const name = (api ?? file)?.[1] ?? "";
    const repository = repositories[name];
    if (!repository) return refuse(response, 401, "RepoNotFound");
    const { gatedFor } = repository;
    if (gatedFor !== undefined && request.headers.authorization !== `Bearer ${gatedFor}`) {
      return refuse(response, request.headers.authorization ? 403 : 401, "GatedRepo");
    }
    const revision = (api?.[3] ?? file?.[2])!;
    if (revision !== "main" && revision !== COMMIT) return refuse(response, 404, "RevisionNotFound");
    if (api?.[2] === "revision") return json(response, { id: name, sha: COMMIT });
    if (api) return list(name, repository, Number(searchParams.get("cursor") ?? 0), pathname, response);
    const bytes = repository.files[decodeURIComponent(file![3]!)];
    if (!bytes) return refuse(response, 404, "EntryNotFound");
    const at = Object.values(repository.files).indexOf(bytes);
    response.writeHead(302, {
      location: `${storageUrl}/${name}/${at}?signature=x`,
      "x-linked-size": bytes.length,
      "x-linked-etag": `"${oidOf(bytes)}"`,
      "x-repo-commit": COMMIT,
    });
    response.end();
  }

  function list(name: string, { files }: HubRepository, from: number, path: string, response: ServerResponse) {
    if (hub.tree) return json(response, hub.tree(name));
    const entries = [
      { type: "directory", path: "folder", oid: "0".repeat(40), size: 0 },
      ...Object.entries(files).map(([path, bytes]) => entryOf(path, bytes)),
    ];
    if (from + PAGE < entries.length) {
      response.setHeader("link", `<https://huggingface.co${path}?recursive=true&cursor=${from + PAGE}>; rel="next"`);
    }
    json(response, entries.slice(from, from + PAGE));
  }

  async function serveFile(request: IncomingMessage, response: ServerResponse) {
    note(request, true);
    const fault = hub.faults.shift() ?? {};
    const [, owner, name, at] = new URL(request.url!, storageUrl).pathname.split("/");
    const whole = Object.values(repositories[`${owner}/${name}`]!.files)[Number(at)]!;
    if (fault.status !== undefined) {
      response.writeHead(fault.status, fault.headers);
      return response.end("busy");
    }
    const from = fault.ignoreRange ? 0 : Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
    if (from > 0 && from >= whole.length) {
      response.writeHead(416, { "content-range": `bytes */${whole.length}` });
      return response.end();
    }
    const bytes = whole.slice(from);
    if (fault.wrong && bytes.length > 0) bytes[0] = bytes[0]! ^ 0xff;
    const range = from > 0 ? { "content-range": `bytes ${from}-${whole.length - 1}/${whole.length}` } : {};
    response.writeHead(from > 0 ? 206 : 200, { "content-length": bytes.length, etag: `"${oidOf(whole)}"`, ...range });
    const until = Math.min(bytes.length, fault.dropAt ?? Infinity, fault.stallAt ?? Infinity);
    for (let done = 0; done < until && !response.destroyed; ) {
      while (sent >= hub.hold && !response.destroyed) await Bun.sleep(HOLD_POLL_MS);
      if (response.destroyed) return;
      const piece = bytes.subarray(done, Math.min(until, done + PIECE_BYTES));
      await new Promise<void>((resolve) => response.write(piece, () => resolve()));
      if (response.destroyed) return;
      done += piece.length;
      count(piece.length);
      if (hub.pace !== Infinity) await Bun.sleep((piece.length / hub.pace) * 1000);
    }
    if (fault.stallAt !== undefined) return;
    if (fault.dropAt !== undefined) response.destroy();
    else response.end();
  }

  return hub;
}

function entryOf(path: string, bytes: Uint8Array) {
  const pointer = { type: "file", path, size: bytes.length, oid: gitOid(bytes) };
  if (!isLarge(bytes)) return pointer;
  // Of a large file git holds a pointer, whose name says nothing of the bytes.
  return { ...pointer, oid: "f".repeat(40), lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 134 } };
}

function isLarge(bytes: Uint8Array): boolean {
  return bytes.length > 10_000;
}

/** What the file is called in the cache. */
export function oidOf(bytes: Uint8Array): string {
  return isLarge(bytes) ? sha256(bytes) : gitOid(bytes);
}

function sha256(bytes: Uint8Array): string {
  return new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
}

function gitOid(bytes: Uint8Array): string {
  return new Bun.CryptoHasher("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
}

/** Bytes that no part repeats; the same on every run. */
export function bytesFor(length: number, seed: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = seed | 1;
  for (let at = 0; at < words.length; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[at] = state;
  }
  return new Uint8Array(words.buffer, 0, length);
}

function refuse(response: ServerResponse, status: number, code: string) {
  response.writeHead(status, { "x-error-code": code, "content-type": "application/json" });
  response.end(JSON.stringify({ error: code }));
}

function json(response: ServerResponse, value: unknown) {
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(value));
}

async function listen(server: ReturnType<typeof createServer>): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
