import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bytesFor, COMMIT, oidOf, startHub, type TestHub } from "../../test/hub.ts";
import type { Model } from "../config.ts";
import { createWeights, type PullEvent, type WeightsError } from "./weights.ts";

const LARGE = bytesFor(3_000_000, 7);
const SMALL = new TextEncoder().encode('{"model_type":"llama"}');
const PARTS = { one: bytesFor(400_000, 11), two: bytesFor(300_000, 13) };

let hub: TestHub;
let folder: string;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "weights-"));
  hub = await startHub({
    "org/gguf": { files: { "m-Q4_K_M.gguf": LARGE, "m-Q8_0.gguf": bytesFor(50_000, 3), "README.md": SMALL } },
    "org/parts": {
      files: {
        "README.md": SMALL,
        "q4/m-Q4_K_M-00001-of-00002.gguf": PARTS.one,
        "q4/m-Q4_K_M-00002-of-00002.gguf": PARTS.two,
        "mmproj-F16.gguf": SMALL,
      },
    },
    "org/tensors": {
      files: {
        "config.json": SMALL,
        "model-00001-of-00002.safetensors": PARTS.one,
        "model-00002-of-00002.safetensors": PARTS.two,
        "consolidated.safetensors": LARGE,
        "original/weights.pth": LARGE,
        "tokenizer.json": bytesFor(20_000, 5),
      },
    },
    "org/gated": { files: { "m.gguf": LARGE }, gatedFor: "hf_secret" },
    "org/onnx": {
      files: {
        "config.json": SMALL,
        "onnx/model.onnx": bytesFor(30_000, 21),
        "onnx/model.onnx_data": bytesFor(40_000, 23),
        "onnx/model_fp16.onnx": bytesFor(15_000, 25),
        "voices/a.bin": bytesFor(12_000, 27),
      },
    },
    "org/empty": { files: { "m.gguf": new Uint8Array(0) } },
  });
});

afterEach(async () => {
  await hub.stop();
  rmSync(folder, { recursive: true, force: true });
});

const MODEL = {
  id: "my-model",
  aliases: ["mine"],
  weights: { hub: "org/tensors", format: "safetensors", gguf: { hub: "org/gguf" } },
} as unknown as Model;

function weightsFor(env: Record<string, string> = {}, stallMsMax = 5_000, models = [MODEL]) {
  return createWeights({
    home: join(folder, "home"),
    env: { HOME: folder, HF_ENDPOINT: hub.url, HF_HOME: join(folder, "hf"), ...env },
    models,
    stallMsMax,
  });
}

const cacheOf = (repository: string) => join(folder, "hf/hub", `models--${repository.replace("/", "--")}`);
const failure = (work: Promise<unknown>): Promise<WeightsError> =>
  work.then(
    () => Promise.reject(new Error("it worked")),
    (error) => error,
  );

test("a model of the catalogue is pulled in the shared cache's own layout, and found there", async () => {
  const weights = weightsFor();
  expect(weights.pathOf("my-model")).toBeNull();
  const events: PullEvent[] = [];
  const path = await weights.pull("mine", { onProgress: (event) => events.push(event) });
  const repository = cacheOf("org/gguf");
  expect(path).toBe(join(repository, "snapshots", COMMIT, "m-Q4_K_M.gguf"));
  expect(weights.pathOf("my-model")).toBe(path);
  expect(readlinkSync(path)).toBe(`../../blobs/${oidOf(LARGE)}`);
  expect(readFileSync(path)).toEqual(Buffer.from(LARGE));
  expect(readFileSync(join(repository, "refs/main"), "utf8")).toBe(COMMIT);
  expect(readdirSync(join(repository, "blobs"))).toEqual([oidOf(LARGE)]);
  expect(events[0]).toMatchObject({ type: "plan", bytes: LARGE.length, bytesLeft: LARGE.length });
  expect(events.at(-1)).toEqual({ type: "done", path: "m-Q4_K_M.gguf", bytes: LARGE.length });
  expect(events.some((event) => event.type === "check")).toBeTrue();
});

test("what is there is not brought again", async () => {
  await weightsFor().pull("my-model");
  const { sent } = hub;
  await weightsFor().pull("my-model");
  expect(hub.sent).toBe(sent);
});

test("a GGUF in parts comes whole, without the projector beside it, and its first part is the path", async () => {
  const path = await weightsFor().pull("org/parts");
  expect(path).toBe(join(cacheOf("org/parts"), "snapshots", COMMIT, "q4/m-Q4_K_M-00001-of-00002.gguf"));
  expect(readlinkSync(path)).toBe(`../../../blobs/${oidOf(PARTS.one)}`);
  expect(readdirSync(join(path, ".."))).toHaveLength(2);
  expect(existsSync(join(path, "../../mmproj-F16.gguf"))).toBeFalse();
});

test("safetensors come with settings and tokenizer, and without the same weights in another form", async () => {
  const path = await weightsFor().pull("my-model", { format: "safetensors" });
  expect(readdirSync(path).toSorted()).toEqual([
    "config.json",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "tokenizer.json",
  ]);
  expect(weightsFor().pathOf("my-model", "safetensors")).toBe(path);
  expect(weightsFor().pathOf("my-model", "gguf")).toBeNull();
});

test("another quantisation is had behind a colon, and serves when the usual one is not there", async () => {
  const path = await weightsFor().pull("org/gguf:q8_0");
  expect(path).toEndWith("m-Q8_0.gguf");
  expect(weightsFor().pathOf("my-model")).toBe(path);
});

test("a name that stands for nothing, or for several files, is refused with what there is", async () => {
  expect((await failure(weightsFor().pull("nonsense"))).message).toContain("no model of the catalogue");
  expect((await failure(weightsFor().pull("org/gguf:q2"))).message).toContain("It has: m-Q4_K_M.gguf, m-Q8_0.gguf");
  expect((await failure(weightsFor().pull("org/gguf:m"))).message).toContain("several files");
  expect((await failure(weightsFor().pull("org/nothing"))).problem).toBe("refused");
});

test("of a repository with every graph in several precisions comes what the catalogue's patterns name", async () => {
  const speech = {
    id: "speech",
    aliases: [],
    weights: { format: "pytorch", onnx: { hub: "org/onnx", include: ["*.json", "onnx/model.onnx*", "voices/*.bin"] } },
  } as unknown as Model;
  const weights = weightsFor({}, 5_000, [speech]);
  const path = await weights.pull("speech");
  expect([...new Bun.Glob("**/*").scanSync({ cwd: path, followSymlinks: true })].toSorted()).toEqual([
    "config.json",
    "onnx/model.onnx",
    "onnx/model.onnx_data",
    "voices/a.bin",
  ]);
  expect(weights.pathOf("speech", "onnx")).toBe(path);
});

test("an empty file is complete", async () => {
  expect(readFileSync(await weightsFor().pull("org/empty"))).toHaveLength(0);
});

test("after broken connections the transfer goes on where it stopped, and a storage that is busy is asked again", async () => {
  hub.faults = [
    { dropAt: 1_000_000 },
    { status: 503 },
    { dropAt: 500_000 },
    { status: 429, headers: { "retry-after": "0" } },
  ];
  const retries: string[] = [];
  const path = await weightsFor().pull("my-model", {
    onProgress: (event) => event.type === "retry" && retries.push(event.reason),
  });
  expect(readFileSync(path)).toEqual(Buffer.from(LARGE));
  expect(hub.sent).toBeLessThan(LARGE.length * 1.2);
  expect(retries).toHaveLength(4);
  expect(hub.requests.filter(({ storage }) => storage).at(-1)!.range).toMatch(/^bytes=\d{6,}-$/);
});

test("a silent connection is given up, and the transfer goes on", async () => {
  hub.faults = [{ stallAt: 1_000_000 }];
  const reasons: string[] = [];
  const path = await weightsFor({}, 200).pull("my-model", {
    onProgress: (event) => event.type === "retry" && reasons.push(event.reason),
  });
  expect(reasons).toEqual(["No byte for 0.2 s."]);
  expect(readFileSync(path)).toEqual(Buffer.from(LARGE));
  expect(hub.sent).toBe(LARGE.length);
});

test("wrong bytes are found by their checksum and brought again; nothing has the final name before that", async () => {
  hub.faults = [{ wrong: true }, { wrong: true }];
  let again = 0;
  const path = await weightsFor().pull("my-model", {
    onProgress: (event) => {
      if (event.type !== "again") return;
      again++;
      expect(readdirSync(join(cacheOf("org/gguf"), "blobs"))).toEqual([]);
    },
  });
  expect(again).toBe(2);
  expect(readFileSync(path)).toEqual(Buffer.from(LARGE));
});

test("bytes that stay wrong are an error, and are not kept", async () => {
  hub.faults = [{ wrong: true }, { wrong: true }, { wrong: true }];
  const weights = weightsFor();
  expect((await failure(weights.pull("my-model"))).problem).toBe("checksum");
  expect(weights.pathOf("my-model")).toBeNull();
  expect(readdirSync(join(cacheOf("org/gguf"), "blobs"))).toEqual([]);
});

test("a beginning that was left by an earlier pull is checked with the rest", async () => {
  const weights = weightsFor();
  const incomplete = join(cacheOf("org/gguf"), "blobs", `${oidOf(LARGE)}.incomplete`);
  hub.faults = Array.from({ length: 9 }, (_, at) => (at === 0 ? { dropAt: 1_000_000 } : { status: 404 }));
  expect((await failure(weights.pull("my-model"))).problem).toBe("unknown");
  expect(readFileSync(incomplete).length).toBeGreaterThan(0);
  const beginning = readFileSync(incomplete);
  beginning[5]! ^= 1;
  writeFileSync(incomplete, beginning);
  hub.faults = [];
  const seen: string[] = [];
  const path = await weights.pull("my-model", { onProgress: ({ type }) => seen.push(type) });
  expect(seen).toContain("again");
  expect(readFileSync(path)).toEqual(Buffer.from(LARGE));
});

test("a storage that knows no ranges is taken from the beginning", async () => {
  hub.faults = [{ dropAt: 1_000_000 }, { ignoreRange: true }];
  expect(readFileSync(await weightsFor().pull("my-model"))).toEqual(Buffer.from(LARGE));
});

test("a hub that announces another size than it sends is not believed, and not asked for ever", async () => {
  for (const [size, words] of [
    [LARGE.length + 10, "fewer bytes"],
    [LARGE.length - 10, "more bytes"],
  ] as const) {
    const lfs = { oid: oidOf(LARGE), size };
    hub.tree = () => [{ type: "file", path: "m-Q4_K_M.gguf", size, oid: "f".repeat(40), lfs }];
    const error = await failure(weightsFor().pull("org/gguf"));
    expect(error.problem).toBe("unsafe");
    expect(error.message).toContain(words);
  }
});

test("the token goes to the hub and not to its storage; without one, a gated repository says what to do", async () => {
  const none = await failure(weightsFor().pull("org/gated"));
  expect(none.problem).toBe("refused");
  expect(none.message).toContain(`Accept the terms at ${hub.url}/org/gated, then set HF_TOKEN`);
  const other = await failure(weightsFor({ HF_TOKEN: "hf_other" }).pull("org/gated"));
  expect(other.message).toContain("has not been let in");
  expect(other.message).not.toContain("hf_other");
  writeFileSync(join(folder, "token"), "hf_secret\n");
  await weightsFor({ HF_TOKEN_PATH: join(folder, "token") }).pull("org/gated");
  const tokens = (storage: boolean) =>
    new Set(hub.requests.filter((each) => each.storage === storage).map(({ token }) => token));
  expect(tokens(false)).toContain("Bearer hf_secret");
  expect(tokens(true)).toEqual(new Set([undefined]));
});

test.each(["../outside.gguf", "/etc/x.gguf", "a/../../x.gguf", "a//x.gguf", "C:/x.gguf", "a\\..\\x.gguf", "x\0.gguf"])(
  "a listing that holds %j is not believed",
  async (path) => {
    hub.tree = () => [{ type: "file", path, size: 3, oid: "a".repeat(40) }];
    expect((await failure(weightsFor().pull("org/gguf"))).problem).toBe("unsafe");
  },
);

test("a checksum that is a path is not believed either", async () => {
  hub.tree = () => [{ type: "file", path: "m.gguf", size: 3, oid: "../".repeat(13).padEnd(40, "x") }];
  expect((await failure(weightsFor().pull("org/gguf"))).problem).toBe("unsafe");
});

test("a second pull of the same file waits for the first and brings nothing itself", async () => {
  hub.hold = 500_000;
  const seen: PullEvent[] = [];
  const first = weightsFor().pull("my-model");
  await hub.reached(hub.hold);
  const second = weightsFor().pull("my-model", {
    onProgress(event) {
      seen.push(event);
      if (event.type === "attached") hub.hold = Number.POSITIVE_INFINITY;
    },
  });
  expect(await second).toBe(await first);
  expect(hub.sent).toBe(LARGE.length);
  expect(seen.find(({ type }) => type === "attached")).toMatchObject({ holder: process.pid, total: LARGE.length });
  expect(seen.some(({ type }) => type === "transfer")).toBeFalse();
});

test("an interrupted pull keeps what has arrived", async () => {
  const interrupted = new AbortController();
  hub.hold = 1_000_000;
  const pulling = weightsFor().pull("my-model", {
    signal: interrupted.signal,
    onProgress: (event) => event.type === "transfer" && event.bytes > 900_000 && interrupted.abort(new Error("enough")),
  });
  expect((await failure(pulling)).message).toBe("enough");
  expect(weightsFor().list()[0]!.bytes).toBeGreaterThan(500_000);
  hub.hold = Number.POSITIVE_INFINITY;
  await weightsFor().pull("my-model");
  expect(hub.sent).toBeLessThan(LARGE.length * 1.3);
});

test("a hub that is not there is said to be so", async () => {
  const gone = weightsFor({ HF_ENDPOINT: "http://127.0.0.1:1" });
  const error = await failure(gone.pull("my-model"));
  expect(error.problem).toBe("unreachable");
  expect(error.message).toContain("127.0.0.1:1");
});

test("the list says what belongs to whom; what is removed frees its bytes and no others", async () => {
  const weights = weightsFor();
  await weights.pull("my-model");
  await weights.pull("org/gguf:q8_0");
  await weights.pull("my-model", { format: "safetensors" });
  expect(weights.list()).toMatchObject([
    { repository: "org/gguf", models: ["my-model"], bytes: LARGE.length + 50_000 },
    { repository: "org/tensors", models: ["my-model"], sets: [{ complete: true }] },
  ]);
  expect(weights.remove("org/gguf:q8_0")).toBe(50_000);
  expect(weights.pathOf("my-model")).toEndWith("m-Q4_K_M.gguf");
  // A file beside it is not another program's because this one was never pulled.
  expect(() => weights.remove("org/gguf:q8_0")).toThrow("Nothing of org/gguf:q8_0");
  expect(weights.remove("my-model")).toBe(LARGE.length);
  expect(existsSync(cacheOf("org/gguf"))).toBeFalse();
  expect(weights.pathOf("my-model", "safetensors")).not.toBeNull();
  expect(() => weights.remove("my-model")).toThrow("Nothing of my-model");
});

test("what another program pulled is left alone until all of it is asked for", async () => {
  const weights = weightsFor();
  await weights.pull("org/gguf");
  const elsewhere = createWeights({
    home: join(folder, "other-home"),
    env: { HF_ENDPOINT: hub.url, HF_HOME: join(folder, "hf") },
    models: [],
    stallMsMax: 1_000,
  });
  expect(elsewhere.list()).toMatchObject([{ repository: "org/gguf", sets: [], bytes: LARGE.length }]);
  expect(() => elsewhere.remove("org/gguf")).toThrow("another program");
  expect(elsewhere.remove("org/gguf", { all: true })).toBe(LARGE.length);
  expect(weights.pathOf("my-model")).toBeNull();
});
