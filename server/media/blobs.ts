// Images that callers fetch later by a signed link: files in the home, bounded in bytes and age. The link is all it takes to
// read one, until it expires; nobody can guess or prolong it.

import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { ApiError, type ImageOutput } from "@oxbow/contract";

export interface BlobsOptions {
  /** Made if it is not there. */
  folder: string;
  /** Of all files together: the oldest go first. */
  bytesMax: number;
  /** How long a link, and its file, lives. */
  ageMsMax: number;
  /** Unix milliseconds. */
  now: () => number;
}

export interface Blobs {
  /**
   * Keeps `bytes`. Resolves once they are in a file.
   * @returns path and query of the link
   * @throws what the disk says
   */
  put(bytes: Uint8Array, format: ImageOutput): Promise<string>;
  /**
   * What a link leads to.
   * @param name the last part of its path
   * @throws ApiError `object_not_found`, whether it was never there, has expired, or was tampered with
   */
  open(name: string, query: URLSearchParams): { path: string; contentType: string; bytes: number; expiresAt: number };
  /** Ends what runs by itself. */
  stop(): void;
}

/** Where links lead. */
export const BLOBS_PATH = "/v1/blobs/";

const SWEEP_MS = 60_000;
const NAME = /^[0-9a-f]{32}\.(png|jpeg|webp)$/;

export function createBlobs({ folder, bytesMax, ageMsMax, now }: BlobsOptions): Blobs {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const key = keyIn(folder);
  /** In order of age. */
  const files = new Map<string, { bytes: number; expiresAt: number }>();
  let total = 0;
  for (const [name, bytes, madeAt] of filesIn(folder)) add(name, bytes, madeAt + ageMsMax);
  sweep();
  const timer = setInterval(sweep, SWEEP_MS);
  timer.unref();

  function add(name: string, bytes: number, expiresAt: number): void {
    files.set(name, { bytes, expiresAt });
    total += bytes;
  }

  function sweep(): void {
    for (const [name, { bytes, expiresAt }] of files) {
      if (total <= bytesMax && expiresAt > now()) break;
      files.delete(name);
      total -= bytes;
      void rm(join(folder, name), { force: true });
    }
  }

  const sign = (name: string, expires: number) => createHmac("sha256", key).update(`${name}\n${expires}`).digest("hex");

  return {
    async put(bytes, format) {
      const name = `${randomBytes(16).toString("hex")}.${format}`;
      const expiresAt = now() + ageMsMax;
      const path = join(folder, name);
      // Whole or not at all: a link never leads to half an image.
      const file = await open(`${path}.part`, "wx", 0o600);
      try {
        await file.writeFile(bytes);
        await file.close();
        await rename(`${path}.part`, path);
      } catch (error) {
        await file.close().catch(() => {}); // closed already, or as broken as its disk
        await rm(`${path}.part`, { force: true });
        throw error;
      }
      add(name, bytes.length, expiresAt);
      sweep();
      const expires = Math.floor(expiresAt / 1000);
      return `${BLOBS_PATH}${name}?expires=${expires}&signature=${sign(name, expires)}`;
    },

    open(name, query) {
      const expires = Number(query.get("expires"));
      const given = Buffer.from(query.get("signature") ?? "");
      const right = Buffer.from(sign(name, expires));
      const genuine = given.length === right.length && timingSafeEqual(given, right);
      const file = files.get(name);
      if (!genuine || file === undefined || expires * 1000 <= now()) {
        throw new ApiError("object_not_found", "There is no such image, or its link has expired.");
      }
      const contentType = `image/${name.split(".")[1]}`;
      return { path: join(folder, name), contentType, bytes: file.bytes, expiresAt: expires * 1000 };
    },

    stop: () => clearInterval(timer),
  };
}

/** Links stay good when the server is started again. */
function keyIn(folder: string): Buffer {
  const path = join(folder, "key");
  if (!existsSync(path)) writeFileSync(path, randomBytes(32), { mode: 0o600, flag: "wx" });
  chmodSync(path, 0o600);
  const key = readFileSync(path);
  if (key.length !== 32) throw new Error(`${path} is damaged: remove it, and links given out so far will end`);
  return key;
}

/** Name, bytes and time of making of what an earlier life has left, the oldest first. What is half made is removed. */
function filesIn(folder: string): [name: string, bytes: number, madeAt: number][] {
  const found: [string, number, number][] = [];
  for (const name of readdirSync(folder)) {
    if (name.endsWith(".part")) rmSync(join(folder, name), { force: true });
    if (!NAME.test(name)) continue;
    const { size, mtimeMs } = statSync(join(folder, name));
    found.push([name, size, mtimeMs]);
  }
  return found.sort((one, other) => one[2] - other[2]);
}
