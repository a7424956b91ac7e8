// The command as it is called, for tests: each call a process of its own, with an environment of its own.

import { join } from "node:path";

export const MAIN = join(import.meta.dir, "main.ts");
/** None of them outlives the tests, also when those are killed. */
const WITH_PARENT = join(import.meta.dir, "../server/fleet/with-parent.ts");

/** What the command may see of the environment: not what the machine of the tests happens to have set. */
export function envOf(home: string, more: Record<string, string> = {}) {
  const { PATH = "", HOME = "" } = process.env;
  return { PATH, HOME, OXBOW_HOME: home, BUN_CONFIG_MAX_HTTP_REQUESTS: "65535", ...more };
}

function start(home: string, args: string[], more: Record<string, string>, input?: Uint8Array<ArrayBuffer>) {
  const env = envOf(home, more);
  const stdin = input?.length ? input : "ignore";
  return Bun.spawn([process.execPath, "--preload", WITH_PARENT, MAIN, ...args], {
    env,
    stdin,
    stdout: "pipe",
    stderr: "pipe",
  });
}

/** @param input what is piped into it */
export async function oxbow(
  home: string,
  args: string[],
  more: Record<string, string> = {},
  input: string | Uint8Array<ArrayBuffer> = "",
) {
  const child = start(home, args, more, typeof input === "string" ? new TextEncoder().encode(input) : input);
  const [code, out, err] = await Promise.all([child.exited, child.stdout.text(), child.stderr.text()]);
  return { code, out, err };
}

/** Starts a server with the simulator on a free port, and resolves once it has said how it stands. */
export async function up(home: string, more: Record<string, string> = {}) {
  const child = start(home, ["up", "--port", "0", "--simulate"], more);
  let err = "";
  const reader = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  const standing = Promise.withResolvers<void>();
  const ended = (async () => {
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      err += read.value;
      if (/^(Ready|Up) at /m.test(err)) standing.resolve();
    }
    standing.resolve();
  })();
  await standing.promise;
  return {
    pid: child.pid,
    url: /base URL +(\S+)/.exec(err)?.[1] ?? "",
    /** Everything it has said so far. */
    said: () => err,
    async stop() {
      child.kill("SIGTERM");
      await ended;
      return child.exited;
    },
  };
}
