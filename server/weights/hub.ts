// Asks the hub: which commit a revision is, which files it has, and for the bytes of one of them. What it answers is checked
// before anyone builds a path of it.
//
// Sources, read 2026-11-21: huggingface.co/docs/hub/api, the tree and pagination of huggingface_hub (utils/_pagination.py),
// and huggingface.co/docs/huggingface.js (ListFileEntry).

import { AnswerTooLong, cameOf, NotJson, readJson, readUpTo, whenceOf } from "@oxbow/contract";
import { WeightsError } from "./errors.ts";
import { type Clock, persist } from "./persist.ts";
import type { Place } from "./place.ts";

export interface HubFile {
  /** From the top of the repository, with `/`. Safe to join to a folder. */
  path: string;
  bytes: number;
  /** What it is called in the cache: hexadecimal, 40 or 64 digits. */
  oid: string;
  /** How `oid` is made of its bytes. */
  digest: "sha256" | "git-sha1";
}

export interface Hub {
  /** @returns the commit's 40 digits */
  commitOf(repository: string, revision: string, signal?: AbortSignal): Promise<string>;
  filesOf(repository: string, commit: string, signal?: AbortSignal): Promise<HubFile[]>;
  /**
   * The bytes of a file from `from` on. The answer's status is 206 when it begins there, 200 when at the beginning, 416 when
   * there is nothing behind `from`.
   * @throws WeightsError for what will not be better the next time; anything else is worth another try
   */
  open(repository: string, commit: string, path: string, from: number, signal: AbortSignal): Promise<Response>;
}

/** The hub is busy, or a machine before it. Worth another try, after `retryAfterMs` if it says so. */
export class HubBusy extends Error {
  override readonly name = "HubBusy";
  readonly retryAfterMs: number | undefined;

  constructor(message: string, retryAfterMs?: number) {
    super(message);
    this.retryAfterMs = retryAfterMs;
  }
}

/** For a page of the listing. */
const ASK_MS_MAX = 30_000;
const HOPS_MAX = 5;
/** The largest repositories have some thousand files, and a page up to a thousand, of some hundred bytes each. */
const PAGES_MAX = 200;
const PAGE_BYTES_MAX = 8 * 1024 * 1024;
const FILES_MAX = 100_000;

export function createHub(place: Place, clock: Clock): Hub {
  const ownOrigin = new URL(place.endpoint).origin;

  /** Follows where the hub points to. The token is for the hub alone, not for the storage that it points to. */
  async function get(url: string, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
    let at = url;
    for (let hop = 0; hop <= HOPS_MAX; hop++) {
      const { origin, protocol } = new URL(at);
      const auth = place.token !== undefined && origin === ownOrigin ? { authorization: `Bearer ${place.token}` } : {};
      const answer = await fetch(at, {
        headers: { ...headers, ...auth, "accept-encoding": "identity", "user-agent": "oxbow" },
        redirect: "manual",
        // Deadlines are ours: by the first byte and by each one after it.
        timeout: false,
        decompress: false,
        signal,
      } as RequestInit);
      const location = answer.headers.get("location");
      if (answer.status < 300 || answer.status > 399 || answer.status === 304 || location === null) return answer;
      await answer.body?.cancel();
      const next = new URL(location, at);
      if (protocol === "https:" && next.protocol !== "https:") {
        throw new WeightsError(
          "unsafe",
          `The hub at ${ownOrigin} points to an address without encryption (${next.origin}).`,
        );
      }
      at = next.href;
    }
    throw new WeightsError("unreachable", `The hub at ${ownOrigin} points from one address to the next without end.`);
  }

  /** A JSON answer, asked for again while the hub is busy. */
  function ask(url: string, what: string, signal?: AbortSignal): Promise<{ value: unknown; headers: Headers }> {
    return persist(
      async () => {
        const deadline = AbortSignal.timeout(ASK_MS_MAX);
        const answer = await get(url, {}, signal ? AbortSignal.any([signal, deadline]) : deadline);
        if (!answer.ok) throw await refusalOf(answer, what, place);
        return { value: await readAnswer(answer, place), headers: answer.headers };
      },
      { clock, signal, triesMax: 4, giveUp: (cause) => unreachable(place, cause) },
    );
  }

  function api(repository: string): string {
    if (place.offline) throw new WeightsError("unreachable", "HF_HUB_OFFLINE is set, so the hub is not asked.");
    return `${place.endpoint}/api/models/${repository}`;
  }

  return {
    async commitOf(repository, revision, signal) {
      const url = `${api(repository)}/revision/${encodeURIComponent(revision)}`;
      const { value } = await ask(url, `${repository} (${revision})`, signal);
      const commit = recordOf(value).sha;
      if (typeof commit === "string" && /^[0-9a-f]{40}$/.test(commit)) return commit;
      throw unbelievable(place, `no commit for ${repository}`);
    },

    async filesOf(repository, commit, signal) {
      const files: HubFile[] = [];
      let url: string | null = `${api(repository)}/tree/${commit}?recursive=true`;
      for (let page = 0; url !== null; page++) {
        if (page === PAGES_MAX) throw unbelievable(place, `more than ${PAGES_MAX} pages of files`);
        const { value, headers }: { value: unknown; headers: Headers } = await ask(url, repository, signal);
        if (!Array.isArray(value)) throw unbelievable(place, "no list of files");
        for (const entry of value.map(recordOf)) if (entry.type === "file") files.push(fileOf(entry, place));
        if (files.length > FILES_MAX) throw unbelievable(place, `more than ${FILES_MAX} files`);
        url = nextOf(headers.get("link"), url);
      }
      return files;
    },

    async open(repository, commit, path, from, signal) {
      const name = path.split("/").map(encodeURIComponent).join("/");
      const range: Record<string, string> = from > 0 ? { range: `bytes=${from}-` } : {};
      const answer = await get(`${place.endpoint}/${repository}/resolve/${commit}/${name}`, range, signal);
      if (answer.ok && isPage(answer, path)) throw await pageInstead(answer, path);
      if (answer.ok || answer.status === 416) return answer;
      throw await refusalOf(answer, `${repository}, file ${path}`, place);
    },
  };
}

/**
 * An address to go on at, from `link: <...>; rel="next"`. Only at the hub itself: mirrors may repeat the address of the
 * original.
 */
function nextOf(link: string | null, current: string): string | null {
  const next = /<([^>]+)>\s*;[^,]*\brel="?next"?/.exec(link ?? "")?.[1];
  if (next === undefined) return null;
  const here = new URL(current);
  const there = new URL(next, here);
  return `${here.origin}${there.pathname}${there.search}`;
}

/** @throws WeightsError for names that would lead out of their folder, and for sums that are none */
function fileOf(entry: Record<string, unknown>, place: Place): HubFile {
  const { path, size, oid, lfs } = entry;
  if (typeof path !== "string" || !isSafe(path)) throw unbelievable(place, `a file called ${JSON.stringify(path)}`);
  const large = lfs === undefined || lfs === null ? undefined : recordOf(lfs);
  const bytes = large?.size ?? size;
  const name = large === undefined ? oid : large.oid;
  const digest = large === undefined ? "git-sha1" : "sha256";
  const digits = digest === "sha256" ? 64 : 40;
  if (typeof bytes !== "number" || !Number.isSafeInteger(bytes) || bytes < 0)
    throw unbelievable(place, `no size for ${path}`);
  if (typeof name !== "string" || name.length !== digits || !/^[0-9a-f]+$/.test(name)) {
    throw unbelievable(place, `no checksum for ${path}`);
  }
  return { path, bytes, oid: name, digest };
}

/** Relative, and within: no part is empty, `.` or `..`, none leads to another drive. */
function isSafe(path: string): boolean {
  if (path.length > 1000 || /[\\:\p{Cc}]/u.test(path)) return false;
  return path
    .split("/")
    .every((part) => part !== "" && part !== "." && part !== ".." && Buffer.byteLength(part) <= 240);
}

/** @returns HubBusy when it is worth another try, WeightsError when not */
async function refusalOf(answer: Response, what: string, place: Place): Promise<Error> {
  const code = answer.headers.get("x-error-code") ?? "";
  const { status } = answer;
  await answer.body?.cancel();
  const page = `${place.endpoint}/${what.split(/[ ,]/)[0]}`;
  if (status === 401 || status === 403) return new WeightsError("refused", refusedText(code, what, page, place));
  if (status === 404) {
    const is =
      code === "EntryNotFound" ? "file" : code === "RevisionNotFound" ? "revision" : "repository, revision or file";
    return new WeightsError("unknown", `The hub has no such ${is}: ${what}.`);
  }
  if (status === 408 || status === 429 || status >= 500) {
    const seconds = Number(answer.headers.get("retry-after") || Number.NaN);
    return new HubBusy(`The hub answers with status ${status}`, Number.isFinite(seconds) ? seconds * 1000 : undefined);
  }
  return new WeightsError("refused", `The hub refuses ${what} (status ${status}).`);
}

function refusedText(code: string, what: string, page: string, { token }: Place): string {
  const gated = code === "GatedRepo";
  if (token === undefined) {
    const why = gated ? "asks for an account that has accepted its terms" : "does not exist, or is not public";
    const accept = gated ? `Accept the terms at ${page}, then` : "If it is yours,";
    return `${what} ${why}. ${accept} set HF_TOKEN to a token of that account.`;
  }
  if (gated) return `${what}: the account of your token has not been let in. Accept the terms at ${page}.`;
  return `${what}: the hub does not accept your token (HF_TOKEN, or the file that a login left), or the account may not read it.`;
}

function unreachable(place: Place, cause: unknown): WeightsError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new WeightsError(
    "unreachable",
    `The hub at ${place.endpoint} cannot be reached (${why}). HF_ENDPOINT names another.`,
    { cause },
  );
}

/** @throws WeightsError for what no hub says: another try would bring the same */
async function readAnswer(answer: Response, place: Place): Promise<unknown> {
  try {
    return await readJson(answer, PAGE_BYTES_MAX);
  } catch (cause) {
    if (cause instanceof AnswerTooLong) throw unbelievable(place, cause.message);
    if (!(cause instanceof NotJson)) throw cause;
    throw new WeightsError("unreachable", `${cause.message}${NO_HUB}`, { cause });
  }
}

const NO_HUB =
  ", so it is no hub, or something stands before the hub: a proxy, or a page to log in at. HF_ENDPOINT names another.";

/** Weights are no page. */
function isPage({ headers }: Response, path: string): boolean {
  return (headers.get("content-type") ?? "").startsWith("text/html") && !/\.html?$/.test(path);
}

async function pageInstead(answer: Response, path: string): Promise<WeightsError> {
  const { bytes } = await readUpTo(answer, PAGE_HEAD_BYTES);
  const came = cameOf(answer, Buffer.from(bytes).toString());
  return new WeightsError("unreachable", `${whenceOf(answer)} answered with ${came} instead of ${path}${NO_HUB}`);
}

const PAGE_HEAD_BYTES = 65_536;

function unbelievable(place: Place, what: string): WeightsError {
  return new WeightsError("unsafe", `What answers at ${place.endpoint} is no hub that can be trusted: ${what}.`);
}

function recordOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
