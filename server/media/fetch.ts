// Fetches what callers point at, and nothing inside: the address that was looked at is the address that is connected to,
// for the first URL and for every redirect. Bounded in bytes, time and redirects; no credentials, cookies or proxy.

import { lookup } from "node:dns/promises";
import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import type { LookupFunction } from "node:net";
import { ApiError } from "@oxbow/contract";
import { isPublic } from "./address.ts";
import { createTurns } from "./turns.ts";

export interface FetchOptions {
  /** Of the body. */
  bytesMax: number;
  /** Told of bytes before they are kept; what it throws ends the fetch. */
  take?: (bytes: number) => void;
  /** For whom: owners take turns. Absent: for ourselves. */
  owner?: string | undefined;
  signal: AbortSignal;
}

export interface Fetched {
  bytes: Uint8Array;
  /** As the server says, without parameters, lower case; "" when it says nothing. Not to be believed. */
  contentType: string;
}

export interface FetcherOptions {
  /** Whether URLs are fetched at all. */
  enabled: boolean;
  /** Origins inside that the operator trusts: `http://images.local:8080`. */
  allowed: readonly string[];
  /** From the first look-up to the last byte, redirects included. */
  msMax: number;
  /** Addresses of a host name; by default the system's. */
  resolve?: (host: string) => Promise<{ address: string; family: number }[]>;
}

export type Fetcher = (url: string, options: FetchOptions) => Promise<Fetched>;

/** At the same time, of all callers together: what waits for its turn waits within its own time. */
const FETCHES_MAX = 64;
/** Servers that never answer, asked for one account, hold no more. */
const OWN_FETCHES_MAX = 32;
const REDIRECTS_MAX = 3;
const URL_CHARS_MAX = 8_192;
/** Of servers for everybody. Other ports of public hosts are no business of a fetcher that strangers steer. */
const PORTS: ReadonlySet<string> = new Set(["", "80", "443", "8080", "8443"]);

/**
 * The returned function fetches one URL.
 * @throws ApiError `invalid_image_url` for what must not be fetched, `failed_to_download_image` for what cannot be,
 *   `image_file_too_large`; the signal's reason
 */
export function createFetcher({ enabled, allowed, msMax, resolve = resolveBySystem }: FetcherOptions): Fetcher {
  const trusted = new Set(allowed);
  const turns = createTurns({ places: FETCHES_MAX, ownPlaces: OWN_FETCHES_MAX });

  /** The addresses that may be connected to. Says the same whether a name is unknown or means something inside. */
  async function addressesOf(url: URL): Promise<{ address: string; family: number }[]> {
    // The parser has already written every spelling of an IPv4 address (decimal, octal, hex, short) as four numbers.
    const host = url.hostname.replace(/^\[|\]$/g, "");
    const family = host.includes(":") ? 6 : /^[\d.]+$/.test(host) ? 4 : 0;
    const found = family > 0 ? [{ address: host, family }] : await resolve(host).catch(() => []);
    if (trusted.has(url.origin)) return found;
    // One address inside is enough to refuse: a name that means both is no mistake.
    return found.every(({ address }) => isPublic(address)) ? found : [];
  }

  async function open(url: URL, signal: AbortSignal): Promise<IncomingMessage> {
    if (!trusted.has(url.origin)) refuseOdd(url);
    const addresses = await inTime(addressesOf(url), signal);
    if (addresses.length === 0) throw refused("its host has no public address");
    return request(url, addresses, signal);
  }

  return async (text, { bytesMax, take, owner, signal: caller }) => {
    if (!enabled) throw refused("this server fetches no URLs. Send the image itself, as a data: URL");
    const end = new AbortController();
    const signal = AbortSignal.any([caller, end.signal, AbortSignal.timeout(msMax)]);
    let url = parse(text);
    let leave = () => {};
    try {
      leave = await turns.take(owner ?? null, 1, signal);
      for (let redirects = 0; ; redirects++) {
        const answer = await open(url, signal);
        const next = redirectOf(answer, url);
        if (next === null) return await read(answer, bytesMax, take, signal);
        if (redirects === REDIRECTS_MAX) throw failed(`more than ${REDIRECTS_MAX} redirects`);
        url = next;
      }
    } catch (cause) {
      if (caller.aborted) throw caller.reason;
      if (cause instanceof ApiError) throw cause;
      throw failed(signal.aborted ? `it took longer than ${msMax / 1000} s` : "its server did not answer", cause);
    } finally {
      end.abort(); // whatever of its connections is still open
      leave();
    }
  };
}

function parse(text: string): URL {
  if (text.length > URL_CHARS_MAX) throw refused(`it is longer than ${URL_CHARS_MAX} characters`);
  const url = URL.parse(text);
  if (url === null) throw refused("it is not a URL");
  return url;
}

/** What no public image needs, and what attacks are made of. */
function refuseOdd(url: URL): void {
  if (url.protocol !== "http:" && url.protocol !== "https:") throw refused("only http: and https: are fetched");
  if (url.username !== "" || url.password !== "") throw refused("it carries a user name or a password");
  if (!PORTS.has(url.port)) throw refused("only the ports 80, 443, 8080 and 8443 are fetched from");
}

/** Connects to one of `addresses` and to nothing else, whatever the name means by now. */
function request(url: URL, addresses: { address: string; family: number }[], signal: AbortSignal) {
  const pinned = ((_host, options, done) => {
    if (options.all) done(null, addresses);
    else done(null, addresses[0]!.address, addresses[0]!.family);
  }) as LookupFunction;
  return new Promise<IncomingMessage>((settle, reject) => {
    const client = url.protocol === "https:" ? https : http;
    const asked = client.request(url.href, {
      lookup: pinned,
      // No pool: a connection that another call has opened leads to an address that this call has not looked at.
      agent: false,
      headers: { accept: "image/*", "accept-encoding": "identity", "user-agent": "oxbow" },
      signal,
    });
    asked.on("response", settle);
    asked.on("error", reject);
    asked.end();
  });
}

/** Where to go instead; null when this is the answer. */
function redirectOf({ statusCode = 0, headers }: IncomingMessage, from: URL): URL | null {
  if (![301, 302, 303, 307, 308].includes(statusCode) || headers.location === undefined) return null;
  const url = URL.parse(headers.location, from.href);
  if (url === null || headers.location.length > URL_CHARS_MAX) throw failed("it redirects to what is no URL");
  return url;
}

async function read(
  answer: IncomingMessage,
  bytesMax: number,
  take: FetchOptions["take"],
  signal: AbortSignal,
): Promise<Fetched> {
  try {
    if (answer.statusCode !== 200) throw failed(`its server answered with status ${answer.statusCode}`);
    // Unpacking would undo the bound on bytes.
    const encoding = answer.headers["content-encoding"] ?? "identity";
    if (encoding !== "identity") throw failed("its server sent it compressed");
    if (Number(answer.headers["content-length"] ?? 0) > bytesMax) throw tooLarge(bytesMax);
    const parts: Buffer[] = [];
    let size = 0;
    for await (const part of answer as AsyncIterable<Buffer>) {
      signal.throwIfAborted();
      size += part.length;
      if (size > bytesMax) throw tooLarge(bytesMax);
      take?.(part.length);
      parts.push(part);
    }
    if (!answer.complete) throw failed("its server broke off");
    const contentType = (answer.headers["content-type"] ?? "").split(";", 1)[0]!.trim().toLowerCase();
    return { bytes: Buffer.concat(parts), contentType };
  } finally {
    answer.destroy();
  }
}

function resolveBySystem(host: string): Promise<{ address: string; family: number }[]> {
  return lookup(host, { all: true });
}

/** The system's resolver knows no signals. */
function inTime<T>(pending: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    pending.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

function refused(why: string): ApiError {
  return new ApiError("invalid_image_url", `The URL is not fetched: ${why}.`);
}

function failed(why: string, cause?: unknown): ApiError {
  return new ApiError("failed_to_download_image", `The URL could not be fetched: ${why}.`, { cause });
}

function tooLarge(bytesMax: number): ApiError {
  return new ApiError("image_file_too_large", `What the URL leads to is larger than ${bytesMax} bytes.`);
}
