// `oxbow image` as it is called, against a server with the simulator.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { envOf, MAIN, oxbow, up } from "./fixtures.ts";

setDefaultTimeout(60_000);

let folder: string;
let server: Awaited<ReturnType<typeof up>>;
let reach: Record<string, string>;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "oxbow-cli-image-"));
  server = await up(join(folder, "home"), { OXBOW_BOOTSTRAP_KEY: "a-key-that-is-no-secret-at-all" });
  reach = { OXBOW_BASE_URL: server.url, OXBOW_API_KEY: "a-key-that-is-no-secret-at-all" };
}, 90_000);
afterAll(async () => {
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const call = (args: string[], input?: string | Uint8Array<ArrayBuffer>) =>
  oxbow(folder, ["image", ...args], reach, input);
const at = (name: string) => join(folder, name);
const MODEL = ["--model", "stable-diffusion-v1.5"];

test("an image goes into a file of the format that its name says", async () => {
  for (const [name, format] of [
    ["a.png", "png"],
    ["a.jpg", "jpeg"],
    ["a.webp", "webp"],
  ] as const) {
    const { code, out, err } = await call(["a", "lighthouse", "-o", at(name), "--size", "256x320", ...MODEL]);
    expect([code, out, err]).toEqual([0, "", `${at(name)}\n`]);
    const found = await sharp(at(name)).metadata();
    expect([found.format, found.width, found.height]).toEqual([format, 256, 320]);
  }
});

test("several images go into files with numbers, and the prompt may come from a pipe", async () => {
  const { code, out, err } = await call(
    ["-o", at("many.png"), "-n", "3", "--seed", "4", "--json", ...MODEL],
    "a lake\n",
  );
  expect(err).toBe("");
  const { files, model, usage } = JSON.parse(out);
  expect([code, files, model]).toEqual([0, [1, 2, 3].map((each) => at(`many-${each}.png`)), "stable-diffusion-v1.5"]);
  for (const file of files) expect((await sharp(file).metadata()).width).toBe(512);
  expect(usage.output_tokens).toBe(3 * 1024);
});

test("without a file the image goes into the pipe, and nothing else does", async () => {
  const child = Bun.spawn([process.execPath, MAIN, "image", "a lake", ...MODEL], {
    env: envOf(folder, reach),
    stdout: "pipe",
    stderr: "pipe",
  });
  const bytes = await new Response(child.stdout).bytes();
  expect([await child.exited, await new Response(child.stderr).text()]).toEqual([0, ""]);
  expect((await sharp(bytes).metadata()).format).toBe("png");
});

test("an image is changed, with a mask", async () => {
  await sharp({ create: { width: 64, height: 64, channels: 4, background: "#0000" } })
    .png()
    .toFile(at("mask.png"));
  const { code } = await call([
    "at night",
    "--edit",
    at("mask.png"),
    "--mask",
    at("mask.png"),
    "-o",
    at("edited.png"),
    ...MODEL,
  ]);
  expect([code, existsSync(at("edited.png"))]).toEqual([0, true]);
});

test.each([
  [["x", "-o", "image.gif"], 2, "images are written as .png, .jpg or .webp"],
  [["-o", "a.png"], 2, "Standard input is empty."],
  [[" ", "-o", "a.png"], 2, "The prompt is empty"],
  [["x", "-n", "2"], 2, "Standard output takes one image"],
  [["x", "-o", "a.png", "--mask", "m.png"], 2, "--mask belongs to --edit"],
  [["x", "-o", "a.png", "--edit", "/nothing/here.png"], 2, "there is no such file"],
  [["x", "-o", "a.png", "--size", "1x1", ...MODEL], 1, "The server refused (400): Invalid"],
  [["x", "-o", "/dev/null/a.png", ...MODEL], 1, "it cannot be written"],
])("%p is refused with one line", async (args, code, line) => {
  const answer = await call(args);
  expect([answer.code, answer.out]).toEqual([code, ""]);
  expect(answer.err).toContain(line);
});
