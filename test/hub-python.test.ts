// The cache of weights beside the program it is shared with most: Python's huggingface_hub finds what Oxbow pulled without
// bringing a byte, and Oxbow what it pulled.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createWeights } from "../server/weights/weights.ts";
import { bytesFor, COMMIT, startHub, type TestHub } from "./hub.ts";
import { pythonWithClients } from "./python/venv.ts";

let folder: string;
let hub: TestHub;
let python: string;

beforeAll(async () => {
  python = pythonWithClients();
  folder = mkdtempSync(join(tmpdir(), "hub-python-"));
  const config = new TextEncoder().encode('{"model_type": "llama"}');
  hub = await startHub({
    "org/model": { files: { "config.json": config, "model.safetensors": bytesFor(300_000, 3) } },
    "org/parts": {
      files: {
        "q4/m-Q4_K_M-00001-of-00002.gguf": bytesFor(200_000, 5),
        "q4/m-Q4_K_M-00002-of-00002.gguf": bytesFor(100_000, 7),
      },
    },
  });
}, 120_000);
afterAll(async () => {
  await hub.stop();
  rmSync(folder, { recursive: true });
});

const weightsIn = (name: string) =>
  createWeights({
    home: join(folder, `${name}-home`),
    env: { HF_ENDPOINT: hub.url, HF_HOME: join(folder, name) },
    models: [],
    stallMsMax: 5_000,
  });

async function run(name: string, lines: string[]): Promise<unknown> {
  const env = { PATH: process.env.PATH, HOME: folder, HF_ENDPOINT: hub.url, HF_HOME: join(folder, name) };
  const code = ["import json, huggingface_hub as hub", ...lines].join("\n");
  const child = Bun.spawn([python, "-c", code], { env, stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if ((await child.exited) !== 0) throw new Error(err);
  return JSON.parse(out);
}

test("Python finds every file that Oxbow pulled, without a warning and without a byte", async () => {
  const weights = weightsIn("ours");
  const paths = [await weights.pull("org/model"), await weights.pull("org/parts")];
  const { sent } = hub;
  const found = await run("ours", [
    "info = hub.scan_cache_dir()",
    "model = hub.snapshot_download('org/model')",
    "part = hub.hf_hub_download('org/parts', 'q4/m-Q4_K_M-00001-of-00002.gguf')",
    "repos = sorted([r.repo_id, r.size_on_disk, r.nb_files, sorted(r.refs)] for r in info.repos)",
    "print(json.dumps({'warnings': len(info.warnings), 'repos': repos, 'paths': [model, part]}))",
  ]);
  expect(found).toEqual({
    warnings: 0,
    repos: [
      ["org/model", 300_023, 2, ["main"]],
      ["org/parts", 300_000, 2, ["main"]],
    ],
    paths,
  });
  expect(hub.sent).toBe(sent);
}, 30_000);

test("Oxbow finds what Python pulled, and brings only what is missing", async () => {
  const path = await run("theirs", ["print(json.dumps(hub.hf_hub_download('org/model', 'model.safetensors')))"]);
  const { sent } = hub;
  const weights = weightsIn("theirs");
  expect(weights.list()).toMatchObject([{ repository: "org/model", sets: [], bytes: 300_000 }]);
  const folder = await weights.pull("org/model");
  expect(join(folder, "model.safetensors")).toBe(path as string);
  expect(folder).toEndWith(COMMIT);
  // config.json alone.
  expect(hub.sent - sent).toBe(23);
}, 30_000);
