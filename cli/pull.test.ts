// `oxbow pull` as a process that is killed, interrupted, watched and short of disk, against a hub on loopback.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bytesFor, oidOf, startHub, type TestHub } from "../test/hub.ts";
import { envOf, MAIN, oxbow } from "./fixtures.ts";

const SIZE = 24_000_000;
const BYTES = bytesFor(SIZE, 17);

let folder: string;
let hub: TestHub;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "pull-"));
  hub = await startHub({ "org/m": { files: { "m.gguf": BYTES, "README.md": new Uint8Array(4) } } });
});
afterEach(async () => {
  await hub.stop();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

const home = () => join(folder, "home");
const env = (more: Record<string, string> = {}) => ({ HF_ENDPOINT: hub.url, HF_HOME: join(folder, "hf"), ...more });
const blobs = () => readdirSync(join(folder, "hf/hub/models--org--m/blobs"));

/** Resolves when so many bytes are on disk: what is killed has then lost nothing that was sent. */
async function written(bytes: number): Promise<void> {
  const path = join(folder, "hf/hub/models--org--m/blobs", `${oidOf(BYTES)}.incomplete`);
  while ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) < bytes) await Bun.sleep(5);
}

function start(...args: string[]) {
  const all = envOf(home(), env());
  return Bun.spawn([process.execPath, MAIN, "pull", "org/m", ...args], { env: all, stdout: "pipe", stderr: "pipe" });
}

test("a pull that is killed ten times gets there, and brings no byte twice that was on disk", async () => {
  for (let kill = 1; kill <= 10; kill++) {
    hub.hold = (SIZE / 11) * kill;
    const child = start();
    await hub.reached(hub.hold);
    await written(hub.sent);
    child.kill("SIGKILL");
    expect(await child.exited).toBe(137);
    expect(blobs()).toEqual([`${oidOf(BYTES)}.incomplete`]);
  }
  hub.hold = Number.POSITIVE_INFINITY;
  const { code, out, err } = await oxbow(home(), ["pull", "org/m"], env());
  expect({ code, err }).toMatchObject({ code: 0 });
  expect(readFileSync(out.trim())).toEqual(Buffer.from(BYTES));
  expect(blobs()).toEqual([oidOf(BYTES)]);
  expect(hub.sent).toBe(SIZE);
}, 60_000);

test("Ctrl-C ends it with exit code 130, and says that nothing is lost", async () => {
  hub.hold = 1_000_000;
  const child = start();
  await hub.reached(hub.hold);
  child.kill("SIGINT");
  expect(await child.exited).toBe(130);
  expect(await child.stderr.text()).toContain("the same command goes on from there");
}, 60_000);

test("a second pull takes over when the first is killed", async () => {
  hub.hold = 2_000_000;
  const first = start();
  await hub.reached(hub.hold);
  await written(hub.sent);
  const second = start("--json");
  const reader = second.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let seen = "";
  while (!seen.includes('"attached"')) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`it ended: ${seen}`);
    seen += value;
  }
  expect(seen).toContain(`"holder":${first.pid}`);
  first.kill("SIGKILL");
  hub.hold = Number.POSITIVE_INFINITY;
  for (let read = await reader.read(); !read.done; read = await reader.read()) seen += read.value;
  expect(await second.exited).toBe(0);
  const last = JSON.parse(seen.trimEnd().split("\n").at(-1)!);
  expect(last).toMatchObject({ type: "pulled" });
  expect(readFileSync(last.path)).toEqual(Buffer.from(BYTES));
  // What the hub had already handed to the connection of the dead one is lost.
  expect(hub.sent).toBeLessThan(SIZE * 1.5);
}, 60_000);

test("a model that does not fit on the disk is refused before a byte has come", async () => {
  hub.tree = () => [{ type: "file", path: "m.gguf", size: 5e15, oid: "a".repeat(40) }];
  const { code, err } = await oxbow(home(), ["pull", "org/m"], env());
  expect(code).toBe(1);
  expect(err).toContain("org/m needs 5000000.0 GB more on the disk");
  expect(hub.sent).toBe(0);
}, 60_000);

/** A small disk of its own where we may mount one (Linux, root); else a limit on the size of files, which fails alike. */
function smallDisk(): { wrap: string[]; release(): void } {
  const at = join(folder, "hf");
  mkdirSync(at);
  // Room for what the check before the pull wants; the test then takes it away.
  const { exitCode } = Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", at]);
  if (exitCode === 0) return { wrap: [], release: () => Bun.spawnSync(["umount", at]) };
  return { wrap: ["prlimit", "--fsize=10000000"], release: () => {} };
}

test("a disk that fills up ends the pull with one clear line; what has come is kept, and used when there is room", async () => {
  const disk = smallDisk();
  try {
    hub.hold = 4_000_000;
    const command = [...disk.wrap, process.execPath, MAIN, "pull", "org/m"];
    const child = Bun.spawn(command, { env: envOf(home(), env()), stdout: "pipe", stderr: "pipe" });
    await hub.reached(hub.hold);
    const taken = join(folder, "hf/taken");
    if (disk.wrap.length === 0) Bun.spawnSync(["sh", "-c", `cat /dev/zero > ${taken}`], { stderr: "ignore" });
    hub.hold = Number.POSITIVE_INFINITY;
    const [code, err] = [await child.exited, await child.stderr.text()];
    expect(code).toBe(1);
    expect(err.trimEnd().split("\n").at(-1)).toMatch(/^oxbow: The disk is full/);
    expect(blobs()).toEqual([`${oidOf(BYTES)}.incomplete`]);
    rmSync(taken, { force: true });
    const again = await oxbow(home(), ["pull", "org/m"], env());
    expect(again).toMatchObject({ code: 0 });
    expect(readFileSync(again.out.trim())).toEqual(Buffer.from(BYTES));
    expect(hub.sent).toBeLessThan(SIZE * 1.25);
  } finally {
    disk.release();
  }
}, 60_000);

test("list and rm speak of what was pulled, and a hub that is not there has an exit code of its own", async () => {
  await oxbow(home(), ["pull", "org/m"], env());
  const { out } = await oxbow(home(), ["list", "--json"], env());
  expect(JSON.parse(out).repositories).toMatchObject([
    { repository: "org/m", bytes: SIZE, sets: [{ complete: true }] },
  ]);
  expect((await oxbow(home(), ["list"], env())).out).toMatch(/org\/m +- +m\.gguf +24\.0 MB +complete/);
  const removed = await oxbow(home(), ["rm", "org/m"], env());
  expect(removed).toMatchObject({ code: 0, err: "Removed org/m: 24.0 MB are free now.\n" });
  expect((await oxbow(home(), ["rm", "org/m"], env())).code).toBe(1);
  expect((await oxbow(home(), ["pull", "org/m"], env({ HF_ENDPOINT: "http://127.0.0.1:1" }))).code).toBe(3);
}, 60_000);
