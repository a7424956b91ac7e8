// What the commands that call a model do when the answer does not end as it should: the server is away, breaks off or hangs,
// and whoever called has had enough.

import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../test/harness.ts";
import { wavOf } from "../test/recordings.ts";
import { envOf, MAIN, oxbow } from "./fixtures.ts";

setDefaultTimeout(30_000);

const folder = mkdtempSync(join(tmpdir(), "oxbow-cli-broken-"));
const wav = join(folder, "a.wav");
writeFileSync(wav, wavOf(1));

/** A server that sends the beginning of an answer of a hundred bytes, and then does as it is told. */
function openServer(type: string, then: (socket: Socket) => void) {
  const begun = Promise.withResolvers<void>();
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => {
      const head = `HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\ncontent-length: 100\r\n\r\n`;
      socket.write(`${head}{"data": [`, () => {
        begun.resolve();
        then(socket);
      });
    });
  });
  server.listen(0, "127.0.0.1");
  const { port } = server.address() as { port: number };
  return {
    env: { OXBOW_API_KEY: "sk-any", OXBOW_BASE_URL: `http://127.0.0.1:${port}/v1` },
    begun: begun.promise,
    [Symbol.dispose]: () => void server.close(),
  };
}
afterAll(() => rmSync(folder, { recursive: true }));

const COMMANDS: [string, string[]][] = [
  ["embed", ["a text"]],
  ["transcribe", [wav]],
  ["transcribe", [wav, "--stream"]],
  ["speak", ["Hello.", "-o", join(folder, "out.mp3")]],
  ["speak", ["Hello."]],
  ["image", ["a lake", "-o", join(folder, "out.png")]],
  ["detect", [wav]],
];

test.each(COMMANDS)(
  "%s %p says in one line that the server broke off, and leaves no half of a file",
  async (name, args) => {
    using server = openServer("application/json", (socket) => socket.destroy());
    const { code, err } = await oxbow(folder, [name, "--model", "m", ...args], server.env);
    expect([code, err]).toEqual([1, "oxbow: The server broke off before the end of its answer. Try again.\n"]);
    expect(readdirSync(folder)).toEqual(["a.wav"]);
  },
);

test.each(COMMANDS)("%s %p says that nobody is there", async (name, args) => {
  const env = { OXBOW_API_KEY: "sk-any", OXBOW_BASE_URL: "http://127.0.0.1:1/v1" };
  const { code, out, err } = await oxbow(folder, [name, "--model", "m", ...args], env);
  expect([code, out]).toEqual([3, ""]);
  expect(err).toStartWith("oxbow: No server answers at http://127.0.0.1:1/v1.");
});

test.each(COMMANDS)("Ctrl-C ends %s %p at once, and leaves no half of a file", async (name, args) => {
  using server = openServer("audio/mpeg", () => {});
  const child = Bun.spawn([process.execPath, MAIN, name, "--model", "m", ...args], {
    env: envOf(folder, server.env),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  await server.begun;
  if (name === "speak" && args.includes("-o"))
    await eventually(() => readdirSync(folder).length > 1, "a half is there");
  child.kill("SIGINT");
  await child.exited;
  // By the signal itself, which a shell calls 130, or after tidying up.
  expect(child.signalCode ?? child.exitCode).toBeOneOf(["SIGINT", 130]);
  expect(await child.stderr.text()).not.toContain("    at ");
  expect(readdirSync(folder)).toEqual(["a.wav"]);
});
