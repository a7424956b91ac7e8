// `oxbow transcribe` and `oxbow speak`, as people and scripts call them, against a server with the simulator.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { needTools, probe, wavOf } from "../test/recordings.ts";
import { oxbow, up } from "./fixtures.ts";

setDefaultTimeout(60_000);

const KEY = "oxb_test_00000000000000000000000000000000";
const folder = mkdtempSync(join(tmpdir(), "oxbow-cli-audio-"));
const wav = join(folder, "a.wav");
let server: Awaited<ReturnType<typeof up>>;
let env: Record<string, string>;
beforeAll(async () => {
  needTools();
  writeFileSync(wav, wavOf(4));
  server = await up(folder, { OXBOW_BOOTSTRAP_KEY: KEY });
  env = { OXBOW_API_KEY: KEY, OXBOW_BASE_URL: server.url };
});
afterAll(async () => {
  await server.stop();
  rmSync(folder, { recursive: true });
});
const run = (args: string[], input?: string | Uint8Array<ArrayBuffer>) => oxbow(folder, args, env, input);

test("a recording becomes text, captions or JSON, from a file or a pipe", async () => {
  const { code, out, err } = await run(["transcribe", wav]);
  expect([code, err]).toEqual([0, ""]);
  expect(out).toBe("This is a simulated transcript. Nobody has listened to the\n");
  expect((await run(["transcribe", "-"], wavOf(4) as Uint8Array<ArrayBuffer>)).out).toBe(out);
  expect((await run(["transcribe", wav, "--stream"])).out).toBe(out);
  expect((await run(["transcribe", wav, "--format", "srt"])).out).toStartWith("1\n00:00:00,000 --> 00:00:02,000\n");
  const json = JSON.parse((await run(["transcribe", wav, "--json", "--words", "--language", "de"])).out);
  expect(json).toMatchObject({ language: "german", duration: 4 });
  expect(json.words).toHaveLength(10);
  expect((await run(["transcribe", wav, "--translate"])).out).toBe(out);
});

test("what cannot be heard says why", async () => {
  const missing = await run(["transcribe", join(folder, "none.wav")]);
  expect([missing.code, missing.out]).toEqual([2, ""]);
  expect(missing.err).toContain("there is no such file");
  const junk = join(folder, "junk.wav");
  writeFileSync(junk, "junk");
  const broken = await run(["transcribe", junk]);
  expect([broken.code, broken.out]).toEqual([1, ""]);
  expect(broken.err).toBe("oxbow: The server refused (400): Audio file might be corrupted or unsupported\n");
});

test("a text becomes sound, in a file or a pipe, in the format of its ending", async () => {
  const mp3 = join(folder, "out.mp3");
  const { code, out, err } = await run(["speak", "Hello world.", "-o", mp3]);
  expect([code, out]).toEqual([0, ""]);
  expect(err).toMatch(/out\.mp3: \d+ bytes of mp3\.\n$/);
  expect(probe(readFileSync(mp3)).codec).toBe("mp3");
  const flac = join(folder, "out.flac");
  await run(["speak", "-o", flac, "--speed", "2", "--voice", "nova"], "Hello from a pipe.\n");
  expect(probe(readFileSync(flac)).codec).toBe("flac");
  const wrong = await run(["speak", "Hello.", "-o", join(folder, "out.txt")]);
  expect([wrong.code, existsSync(join(folder, "out.txt"))]).toEqual([2, false]);
  const long = await run(["speak", "-o", mp3], "a".repeat(5000));
  expect(long.code).toBe(1);
  expect(long.err).toContain("string too long");
});

test("speak -o - is standard output, as everywhere, and a place that cannot be written is one line", async () => {
  const { code, out } = await run(["speak", "Hello.", "-o", "-", "--format", "wav"]);
  expect([code, out.slice(0, 4), existsSync("-")]).toEqual([0, "RIFF", false]);
  const nowhere = await run(["speak", "Hello.", "-o", join(folder, "no", "out.mp3")]);
  expect([nowhere.code, nowhere.err]).toEqual([
    1,
    expect.stringMatching(/out\.mp3: it cannot be written \(ENOENT\)\.\n$/),
  ]);
  expect(nowhere.err).not.toContain("    at ");
});

test("speak --json names the file, what is in it and how much", async () => {
  const file = join(folder, "named.opus");
  const { code, out, err } = await run(["speak", "Hello.", "-o", file, "--json"]);
  expect([code, err]).toEqual([0, ""]);
  expect(JSON.parse(out)).toEqual({ file, format: "opus", bytes: readFileSync(file).length });
});

test.each([
  [["transcribe", "-"], "Standard input is empty."],
  [["transcribe", wav, "--words"], "--words goes with --json"],
  [["transcribe", wav, "--stream", "--json"], "--stream prints text"],
  [["transcribe", wav, "--translate", "--stream"], "--translate goes with none of"],
  [["speak", " ", "-o", "x.mp3"], "The text is empty"],
  [["speak", "-o", "x.mp3"], "Standard input is empty."],
  [["speak", "Hello.", "--json"], "Standard output takes the sound and nothing else"],
])("%p is a wrong command line", async (args, line) => {
  const { code, out, err } = await run(args);
  expect([code, out]).toEqual([2, ""]);
  expect(err).toContain(line);
  expect(err.trim().split("\n")).toHaveLength(1);
});
