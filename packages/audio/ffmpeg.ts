// ffmpeg, where the machine has it: for AAC and for what no decoder of ours reads. Never required. It gets bytes on its
// standard input and nothing else: no names of files, no network.

/** Where it is; null: nowhere on the PATH. Looked up once. */
export function findFfmpeg(): string | null {
  found ??= { path: Bun.which("ffmpeg") };
  return found.path;
}

let found: { path: string | null } | null = null;

/** @param args between the input's own options and the output; without `-i` and pipes */
export function startFfmpeg(path: string, input: string[], output: string[]) {
  const options = ["-hide_banner", "-loglevel", "error", "-nostdin", "-protocol_whitelist", "pipe", "-threads", "1"];
  return Bun.spawn([path, ...options, ...input, "-i", "pipe:0", ...output, "pipe:1"], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "ignore",
    env: {},
  });
}
