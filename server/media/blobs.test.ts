import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BLOBS_PATH, type Blobs, createBlobs } from "./blobs.ts";

let folder: string;
let now = 1_000_000_000_000;
const opened: Blobs[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "oxbow-blobs-"));
});
afterEach(() => {
  for (const blobs of opened.splice(0)) blobs.stop();
  rmSync(folder, { recursive: true });
});

function start(bytesMax = 1_000, ageMsMax = 10_000): Blobs {
  const blobs = createBlobs({ folder, bytesMax, ageMsMax, now: () => now });
  opened.push(blobs);
  return blobs;
}
const follow = (blobs: Blobs, link: string) => {
  const url = new URL(link, "http://here");
  return blobs.open(url.pathname.slice(BLOBS_PATH.length), url.searchParams);
};
const files = () => readdirSync(folder).filter((name) => name !== "key");

test("a link leads to what was put, after a restart too", async () => {
  const link = await start().put(Buffer.from("image"), "webp");
  const { path, contentType, expiresAt } = follow(start(), link);
  expect([readFileSync(path, "utf8"), contentType, expiresAt]).toEqual(["image", "image/webp", now + 10_000]);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(statSync(join(folder, "key")).mode & 0o777).toBe(0o600);
});

test("every change of a link makes it worthless", async () => {
  const blobs = start();
  const [one, other] = [await blobs.put(Buffer.from("one"), "png"), await blobs.put(Buffer.from("two"), "png")];
  const [, name, expires, signature] = /blobs\/(.*)\?expires=(\d+)&signature=(.*)$/.exec(one)!;
  const [, otherName] = /blobs\/(.*)\?/.exec(other)!;
  const query = (fields: Record<string, string>) => new URLSearchParams(fields);
  const right = { expires: expires!, signature: signature! };
  expect(blobs.open(name!, query(right)).contentType).toBe("image/png");
  const wrong: [string, Record<string, string>][] = [
    [otherName!, right],
    [name!, { ...right, expires: String(Number(expires) + 1) }],
    [name!, { ...right, signature: signature!.slice(1) }],
    [name!, { ...right, signature: "0".repeat(64) }],
    [name!, { expires: expires! }],
    ["key", right],
    ["../key", right],
  ];
  for (const [path, fields] of wrong) expect(() => blobs.open(path, query(fields))).toThrow("no such image");
});

test("it ends when its time is over", async () => {
  const blobs = start();
  const link = await blobs.put(Buffer.from("image"), "png");
  now += 10_000;
  expect(() => follow(blobs, link)).toThrow("has expired");
  await blobs.put(Buffer.from("next"), "png");
  blobs.stop();
  opened.length = 0;
  // A new life finds what is left, and the old file is not among it.
  expect(() => follow(start(), link)).toThrow("has expired");
});

test("the oldest go first when there is too much", async () => {
  const blobs = start(1_000);
  const links: string[] = [];
  for (let index = 0; index < 4; index++) links.push(await blobs.put(new Uint8Array(400), "png"));
  expect(() => follow(blobs, links[1]!)).toThrow();
  expect(follow(blobs, links[3]!).contentType).toBe("image/png");
});

test("what was half written before a crash is gone after it", async () => {
  writeFileSync(join(folder, `${"0".repeat(32)}.png.part`), "half");
  start();
  expect(files()).toEqual([]);
});

test("when the disk says no, nothing is left, and the reason is told", async () => {
  const blobs = start();
  rmSync(folder, { recursive: true });
  const error = await blobs.put(Buffer.from("image"), "png").catch((thrown) => thrown);
  expect(error.code).toBe("ENOENT");
  start();
});
