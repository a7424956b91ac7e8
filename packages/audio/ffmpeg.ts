// ffmpeg, where the machine has it: for AAC and for what no decoder of ours reads. Never required. It gets a file of its own
// or bytes on its standard input, is told their format, and may open nothing else: no network, no lists of other files.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Where it is; null: nowhere on the PATH. Looked up once. */
export function findFfmpeg(): string | null {
  found ??= { path: Bun.which("ffmpeg") };
  return found.path;
}

let found: { path: string | null } | null = null;

/** Reads `format` from its standard input. */
export function startFfmpeg(path: string, input: string[], output: string[]) {
  return start(path, ["-protocol_whitelist", "pipe", ...input, "-i", "pipe:0"], output, "pipe");
}

/** Reads `bytes`, in which it may go back and forth: the index of an MP4 stands at its end. Call `close` in any case. */
export function openFfmpeg(path: string, bytes: Uint8Array, demuxer: string, input: string[], output: string[]) {
  const folder = mkdtempSync(join(tmpdir(), "oxbow-audio-"));
  const file = join(folder, "recording");
  writeFileSync(file, bytes, { mode: 0o600 });
  const child = start(path, ["-protocol_whitelist", "file", "-f", demuxer, ...input, "-i", file], output, "ignore");
  return {
    child,
    close: () => {
      child.kill("SIGKILL");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function start<In extends "pipe" | "ignore">(path: string, input: string[], output: string[], stdin: In) {
  const options = ["-hide_banner", "-loglevel", "error", "-nostdin", "-threads", "1"];
  return Bun.spawn([path, ...options, ...input, ...output, "-protocol_whitelist", "pipe", "pipe:1"], {
    stdin,
    stdout: "pipe",
    stderr: "ignore",
    env: {},
  });
}
