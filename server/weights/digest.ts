// The checksum that the hub announces for a file, made from its bytes: SHA-256 for large files, git's name of the content
// (SHA-1 over a header and the bytes; git-scm.com/book, "Git Objects", read 2026-11-21) for small ones.

import { open } from "node:fs/promises";
import type { HubFile } from "./hub.ts";

export interface Digest {
  add(bytes: Uint8Array): void;
  /** Hexadecimal, as the hub writes it. Ends the digest. */
  end(): string;
}

export function createDigest(file: HubFile): Digest {
  const hasher = new Bun.CryptoHasher(file.digest === "sha256" ? "sha256" : "sha1");
  if (file.digest === "git-sha1") hasher.update(`blob ${file.bytes}\0`);
  return { add: (bytes) => void hasher.update(bytes), end: () => hasher.digest("hex") };
}

const PIECE_BYTES = 1 << 20;

/** Reads the whole file. Lets others work between two pieces. */
export async function digestOf(
  path: string,
  file: HubFile,
  onBytes: (done: number) => void,
  signal: AbortSignal | undefined,
): Promise<string> {
  const digest = createDigest(file);
  const handle = await open(path, "r");
  try {
    const piece = new Uint8Array(PIECE_BYTES);
    let done = 0;
    for (;;) {
      signal?.throwIfAborted();
      const { bytesRead } = await handle.read(piece, 0, piece.length);
      if (bytesRead === 0) return digest.end();
      digest.add(piece.subarray(0, bytesRead));
      done += bytesRead;
      onBytes(done);
    }
  } finally {
    await handle.close();
  }
}
