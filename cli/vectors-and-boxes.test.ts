// `oxbow embed` and `oxbow detect` as they are called, against a server with the simulator.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { drawScene } from "../test/scene.ts";
import { oxbow, up } from "./fixtures.ts";

setDefaultTimeout(60_000);

let folder: string;
let server: Awaited<ReturnType<typeof up>>;
let reach: Record<string, string>;
let photo: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "oxbow-cli-media-"));
  server = await up(join(folder, "home"), { OXBOW_BOOTSTRAP_KEY: "a-key-that-is-no-secret-at-all" });
  reach = { OXBOW_BASE_URL: server.url, OXBOW_API_KEY: "a-key-that-is-no-secret-at-all" };
  photo = join(folder, "photo.jpg");
  await drawScene(320, 200, 3).jpeg().toFile(photo);
}, 90_000);

afterAll(async () => {
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const call = (args: string[], input?: string | Uint8Array<ArrayBuffer>) => oxbow(folder, args, reach, input);

test("embed prints a line of numbers for each text, and nothing else", async () => {
  const { code, out, err } = await call(["embed", "--model", "bge-large", "a cat", "a dog"]);
  expect([code, err]).toEqual([0, ""]);
  const lines = out.trimEnd().split("\n");
  expect(lines.map((line) => line.split(" ").length)).toEqual([1024, 1024]);
  expect(Math.hypot(...lines[0]!.split(" ").map(Number))).toBeCloseTo(1, 5);
});

test("embed reads lines from a pipe, more than one call holds, and leaves out empty ones", async () => {
  const texts = Array.from({ length: 150 }, (_, at) => (at === 70 ? "" : `text ${at}`));
  const { code, out, err } = await call(["embed", "--json"], texts.join("\r\n"));
  expect([code, err]).toEqual([0, "Line 71 (index 70) is empty: left out.\n"]);
  const rows = out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as { index: number; text: string; embedding: number[] });
  expect(rows).toHaveLength(149);
  for (const { index, text, embedding } of rows) {
    expect(text).toBe(texts[index]!);
    expect(embedding.length).toBe(1024);
  }
});

test("embed says what a text is for, and passes on what the server refuses", async () => {
  const plain = await call(["embed", "--model", "e5-large", "fox"]);
  const query = await call(["embed", "--model", "e5-large", "--input-type", "query", "fox"]);
  const typed = await call(["embed", "--model", "e5-large", "query: fox"]);
  expect(query.out).toBe(typed.out);
  expect(query.out).not.toBe(plain.out);
  const refused = await call(["embed", "--model", "e5-large", "--dimensions", "7", "fox"]);
  expect([refused.code, refused.out]).toEqual([1, ""]);
  expect(refused.err).toContain("The server refused (400): Unsupported parameter: 'dimensions'");
  expect((await call(["embed", "--input-type", "poem", "fox"])).code).toBe(2);
});

test("detect prints what was found, and draws it", async () => {
  const boxed = join(folder, "boxed.png");
  const { code, out, err } = await call(["detect", photo, "-o", boxed, "--model", "yolov11"]);
  expect(code).toBe(0);
  expect(out).toMatch(/^LABEL +SCORE +X +Y +WIDTH +HEIGHT\n/);
  const found = out.trimEnd().split("\n").length - 1;
  expect(err).toBe(`${found} boxes are drawn in ${boxed}.\n`);
  const { width, height, format } = await sharp(boxed).metadata();
  expect([width, height, format]).toEqual([320, 200, "png"]);
  // Drawn into, and not away: most pixels are those of the photograph.
  const pixels = async (file: string) => sharp(file).removeAlpha().raw().toBuffer();
  const [before, after] = await Promise.all([pixels(photo), pixels(boxed)]);
  const changed = before.filter((value, at) => Math.abs(value - after[at]!) > 8).length / before.length;
  expect(changed).toBeGreaterThan(0.001);
  expect(changed).toBeLessThan(0.6);
});

test("detect reads a pipe, prints JSON, and obeys its options", async () => {
  const bytes = (await Bun.file(photo).bytes()) as Uint8Array<ArrayBuffer>;
  const all = JSON.parse((await call(["detect", "-", "--json", "--threshold", "0"], bytes)).out);
  expect(all).toMatchObject({ object: "image.detections", image: { width: 320, height: 200 } });
  const one = JSON.parse((await call(["detect", photo, "--json", "--threshold", "0", "--max", "1"])).out);
  expect(one.data).toEqual(all.data.slice(0, 1));
  const { label } = all.data[0];
  const only = await call(["detect", photo, "--json", "--threshold", "0", "--classes", label]);
  expect(JSON.parse(only.out).data.every((found: { label: string }) => found.label === label)).toBe(true);
  const nothing = await call(["detect", photo, "--threshold", "1"]);
  expect([nothing.code, nothing.out]).toEqual([0, "nothing found\n"]);
});

test.each<[string, string[], number, string]>([
  ["a file that is not there", ["detect", "nowhere.jpg"], 2, "nowhere.jpg: there is no such file."],
  ["a name without a format", ["detect", "PHOTO", "-o", "boxed.tiff"], 2, "boxed.tiff: the name must end with"],
  [
    "a folder that is not there",
    ["detect", "PHOTO", "-o", "/nowhere/boxed.png"],
    1,
    "/nowhere/boxed.png could not be written",
  ],
  ["what is no image", ["detect", import.meta.path], 1, "The server refused (400): The image is none."],
  ["a score above 1", ["detect", "PHOTO", "--threshold", "2"], 2, "It must be a number from 0 to 1."],
  ["a class that no model knows", ["detect", "PHOTO", "--classes", "unicorn"], 1, "Invalid value: 'unicorn'."],
])("%s ends with a line and an exit code", async (_, args, code, said) => {
  const result = await call(args.map((each) => (each === "PHOTO" ? photo : each)));
  expect([result.code, result.out]).toEqual([code, ""]);
  expect(result.err).toContain(said);
});

test("without a key, without a server, and without texts", async () => {
  expect(await oxbow(folder, ["embed", "a"], { OXBOW_BASE_URL: server.url })).toMatchObject({ code: 1 });
  expect((await oxbow(folder, ["embed", "a"], { ...reach, OXBOW_BASE_URL: "http://127.0.0.1:1/v1" })).code).toBe(3);
  const nothing = "oxbow: Standard input holds no text to embed.\n";
  expect(await call(["embed"])).toEqual({ code: 2, out: "", err: nothing });
  expect(await call(["embed"], "\n")).toMatchObject({ code: 2, out: "", err: expect.stringContaining(nothing) });
  const empty = "oxbow: Text 2 is empty: there is nothing to embed.\n";
  expect(await call(["embed", "a", ""])).toEqual({ code: 2, out: "", err: empty });
  expect(await call(["detect", "-"])).toEqual({ code: 2, out: "", err: "oxbow: Standard input is empty.\n" });
});
