// One pull: asks the hub what there is, checks that there is room, brings each file and holds it to its checksum, and only
// then gives it the name under which it can be loaded. Every step can be cut off and done again.

import { mkdirSync, renameSync, rmSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import { digestOf } from "./digest.ts";
import { asDiskError, WeightsError } from "./errors.ts";
import type { Hub, HubFile } from "./hub.ts";
import { type Layout, layoutOf, linkFile, sizeOf, writeRef } from "./layout.ts";
import { type FileLock, holderOf, tryLock } from "./lock.ts";
import type { Note, Notes } from "./note.ts";
import type { Clock } from "./persist.ts";
import { transfer } from "./transfer.ts";
import { choose, type Target } from "./wanted.ts";

/** What a pull says while it works. Bytes are those of the file that are on disk, or checked, so far. */
export type PullEvent =
  | {
      type: "plan";
      repository: string;
      commit: string;
      files: { path: string; bytes: number; here: number }[];
      bytes: number;
      /** Still to come. */
      bytesLeft: number;
      freeBytes: number;
    }
  | { type: "transfer"; path: string; bytes: number; total: number }
  /** Another process is at it; `holder` is its process id. */
  | { type: "attached"; path: string; bytes: number; total: number; holder: number | null }
  | { type: "check"; path: string; bytes: number; total: number }
  | { type: "retry"; path: string; reason: string; waitMs: number }
  /** Its bytes were wrong: all of it comes again. */
  | { type: "again"; path: string }
  | { type: "done"; path: string; bytes: number };

export interface PullOptions {
  target: Target;
  hub: Hub;
  cache: string;
  notes: Notes;
  stallMsMax: number;
  clock: Clock;
  signal: AbortSignal | undefined;
  onProgress(event: PullEvent): void;
}

/** Files at the same time: one connection to a storage rarely fills the line. */
const PARALLEL = 4;
/** Wrong bytes come from a cache on the way, or from a disk; once more helps against the first. */
const CHECKS_MAX = 3;
const ATTACHED_POLL_MS = 200;
/** So that the pull does not take the last byte from everything else on the disk. */
const RESERVE_BYTES = 64 * 1024 * 1024;

/** @throws WeightsError; the signal's reason */
export async function pull(options: PullOptions): Promise<Note> {
  try {
    return await pullAll(options);
  } catch (cause) {
    throw asDiskError(cause, options.cache);
  }
}

async function pullAll(options: PullOptions): Promise<Note> {
  const { target, hub, cache, notes, signal } = options;
  const { repository, revision, format, file } = target;
  const commit = await hub.commitOf(repository, revision, signal);
  const files = choose(target, await hub.filesOf(repository, commit, signal));
  const layout = layoutOf(cache, repository);
  await makeFolder(layout);
  await announce(files, commit, layout, options);
  const note: Note = { repository, revision, commit, format, file, files: files.map(keep), complete: false };
  notes.write(note);

  const failed = new AbortController();
  const either = signal ? AbortSignal.any([signal, failed.signal]) : failed.signal;
  const queue = files.values();
  async function work() {
    for (const next of queue) {
      await pullFile(next, commit, layout, { ...options, signal: either });
    }
  }
  const workers = Array.from({ length: PARALLEL }, () => work().catch((cause) => failed.abort(cause)));
  await Promise.all(workers);
  either.throwIfAborted();

  writeRef(layout, revision, commit);
  const whole = { ...note, complete: true };
  notes.write(whole);
  return whole;
}

function keep({ path, bytes, oid }: HubFile) {
  return { path, bytes, oid };
}

async function makeFolder(layout: Layout): Promise<void> {
  const blobs = dirname(layout.blob("x"));
  try {
    mkdirSync(blobs, { recursive: true });
  } catch (cause) {
    throw asDiskError(cause, blobs);
  }
}

/** Says what will come, and refuses when there is no room for it. */
async function announce(files: HubFile[], commit: string, layout: Layout, options: PullOptions): Promise<void> {
  const there = files.map((file) => ({ path: file.path, bytes: file.bytes, here: hereOf(file, layout) }));
  const bytes = there.reduce((sum, file) => sum + file.bytes, 0);
  const bytesLeft = there.reduce((sum, file) => sum + file.bytes - file.here, 0);
  const { bavail, bsize } = await statfs(layout.folder);
  const freeBytes = bavail * bsize;
  const { repository } = options.target;
  options.onProgress({ type: "plan", repository, commit, files: there, bytes, bytesLeft, freeBytes });
  if (bytesLeft === 0 || bytesLeft + RESERVE_BYTES <= freeBytes) return;
  const text = `${repository} needs ${inGigabytes(bytesLeft)} GB more on the disk, but ${inGigabytes(freeBytes)} GB are free at ${layout.cache}. Free some space, or set HF_HOME to a folder on a larger disk.`;
  throw new WeightsError("disk_full", text);
}

function hereOf(file: HubFile, layout: Layout): number {
  if (sizeOf(layout.blob(file.oid)) === file.bytes) return file.bytes;
  return Math.min(file.bytes, sizeOf(layout.incomplete(file.oid)) ?? 0);
}

/** One file, by whoever gets its lock first; the others watch, and take over when that one dies. */
async function pullFile(file: HubFile, commit: string, layout: Layout, options: PullOptions): Promise<void> {
  const lock = await enter(file, layout, options);
  try {
    if (sizeOf(layout.blob(file.oid)) !== file.bytes) await bring(file, commit, layout, options);
    linkFile(layout, commit, file.path, file.oid);
  } catch (cause) {
    throw asDiskError(cause, layout.folder);
  } finally {
    lock.release();
  }
  options.onProgress({ type: "done", path: file.path, bytes: file.bytes });
}

async function enter(file: HubFile, layout: Layout, { onProgress, clock, signal }: PullOptions): Promise<FileLock> {
  const path = layout.lock(file.oid);
  for (;;) {
    signal?.throwIfAborted();
    const lock = tryLock(path);
    if (lock !== null) return lock;
    const bytes = hereOf(file, layout);
    onProgress({ type: "attached", path: file.path, bytes, total: file.bytes, holder: holderOf(path) });
    await clock.sleep(ATTACHED_POLL_MS, signal);
  }
}

/** Transfer, checksum, name; again from nothing when the bytes were wrong. */
async function bring(file: HubFile, commit: string, layout: Layout, options: PullOptions): Promise<void> {
  const { hub, target, clock, stallMsMax, signal, onProgress } = options;
  const incomplete = layout.incomplete(file.oid);
  const { path, bytes: total } = file;
  for (let check = 1; check <= CHECKS_MAX; check++) {
    const passed = await transfer({
      file,
      path: incomplete,
      open: (from, signal) => hub.open(target.repository, commit, path, from, signal),
      stallMsMax,
      clock,
      signal,
      onBytes: (bytes) => onProgress({ type: "transfer", path, bytes, total }),
      onRetry: (reason, waitMs) => onProgress({ type: "retry", path, reason, waitMs }),
    });
    onProgress({ type: "check", path, bytes: passed === null ? 0 : total, total });
    const onBytes = (bytes: number) => onProgress({ type: "check", path, bytes, total });
    const sum = passed ?? (await digestOf(incomplete, file, onBytes, signal));
    if (sum === file.oid) {
      renameSync(incomplete, layout.blob(file.oid));
      return;
    }
    rmSync(incomplete, { force: true });
    if (check < CHECKS_MAX) onProgress({ type: "again", path });
  }
  const text = `${path} arrived ${CHECKS_MAX} times with another checksum than the hub announces. Something on the way changes it: a proxy, or the memory of this machine.`;
  throw new WeightsError("checksum", text);
}

export function inGigabytes(bytes: number): string {
  return (bytes / 1e9).toFixed(bytes < 1e8 ? 3 : 1);
}

/** What is loaded: the file when there is one, the first of the parts of a GGUF, else the folder. */
export function loadablePath(note: Note, cache: string): string {
  const folder = layoutOf(cache, note.repository).snapshot(note.commit);
  const first = note.files[0]!;
  return first.path.endsWith(".gguf") ? join(folder, first.path) : folder;
}
