// `oxbow deploy vllm`: what it prints is held to the programs that read it.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { loadConfig } from "../server/config.ts";
import { asCommand, asEngine, asKubernetes, asSystemd } from "./deploy/forms.ts";
import { type VllmWishes, vllmStart } from "./deploy/vllm.ts";
import { oxbow } from "./fixtures.ts";

let folder: string;
let program: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "deploy-"));
  program = join(folder, "vllm");
  writeFileSync(program, '#!/bin/sh\nprintf "%s\\0" "$VLLM_HTTP_TIMEOUT_KEEP_ALIVE" "$@"\n');
  chmodSync(program, 0o755);
});
afterAll(() => rmSync(folder, { recursive: true }));

const { models } = loadConfig({ env: {} });
const wishes: VllmWishes = { gpuBytes: 141e9, host: "127.0.0.1", port: 8000, sleep: false };
const served = models.filter(
  ({ weights, category }) =>
    weights?.hub && weights.format === "safetensors" && ["chat", "code", "vision", "embeddings"].includes(category),
);
const startOf = (id: string, more: Partial<VllmWishes> = {}) =>
  vllmStart(models.find((model) => model.id === id)!, { ...wishes, ...more });

test("the catalogue says of more than twenty models how vLLM is started for them", () => {
  expect(served.length).toBeGreaterThan(20);
  for (const model of served) expect(vllmStart(model, wishes).args).toContain(model.id);
});

test("a shell that runs the command hands vLLM exactly these arguments, for every model", () => {
  for (const model of served) {
    const start = vllmStart(model, wishes);
    const { exitCode, stdout } = Bun.spawnSync(["bash", "-c", asCommand(start)], { env: { PATH: `${folder}:/bin` } });
    expect(exitCode).toBe(0);
    expect(stdout.toString().split("\0").slice(0, -1)).toEqual(["75", "serve", ...start.args]);
  }
});

const hasSystemd = Bun.which("systemd-analyze") !== null;
const unless = hasSystemd ? "" : " (not run: there is no systemd on this machine)";
test.if(hasSystemd)(`systemd takes the unit without a complaint, for every model${unless}`, () => {
  const units = served.map((model) => {
    const unit = join(folder, `vllm-${model.id}.service`);
    writeFileSync(unit, asSystemd(vllmStart(model, wishes), program));
    return unit;
  });
  const { exitCode, stderr } = Bun.spawnSync(["systemd-analyze", "verify", "--man=no", ...units], {
    env: { ...process.env, SYSTEMD_LOG_LEVEL: "warning" },
  });
  const complaints = stderr
    .toString()
    .split("\n")
    .filter((line) => line.includes(folder) || line.includes("vllm-"));
  expect({ exitCode, complaints }).toEqual({ exitCode: 0, complaints: [] });
});

test("the manifest is YAML whose parts fit together, for every model that one machine holds", () => {
  for (const model of served) {
    const start = vllmStart(model, { ...wishes, gpuBytes: 288e9 });
    const documents = parseAllDocuments(asKubernetes(start)).map((document) => {
      expect(document.errors).toEqual([]);
      return document.toJS();
    });
    const [claim, deployment, service, policy] = documents;
    expect(documents.map(({ kind }) => kind)).toEqual([
      "PersistentVolumeClaim",
      "Deployment",
      "Service",
      "NetworkPolicy",
    ]);
    for (const { metadata } of documents) expect(metadata.name).toMatch(/^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/);
    const { template, selector } = deployment.spec;
    const labels = template.metadata.labels;
    expect([selector.matchLabels, service.spec.selector, policy.spec.podSelector.matchLabels]).toEqual([
      labels,
      labels,
      labels,
    ]);
    const [container] = template.spec.containers;
    expect(container.args).toEqual(start.args);
    expect(container.resources.limits["nvidia.com/gpu"]).toBe(start.gpus);
    expect(template.spec.volumes[0].persistentVolumeClaim.claimName).toBe(claim.metadata.name);
    for (const { name } of container.volumeMounts) {
      expect(template.spec.volumes.map((volume: { name: string }) => volume.name)).toContain(name);
    }
  }
});

test("accelerators are as many as the memory asks for, a power of two, and no more than the model can be cut into", () => {
  const numbers = (id: string, gpuBytes: number) => {
    const { gpus, machines } = startOf(id, { gpuBytes });
    return [gpus, machines];
  };
  expect(numbers("deepseek-r1", 141e9)).toEqual([8, 1]);
  expect(numbers("deepseek-r1", 80e9)).toEqual([8, 2]);
  expect(numbers("qwen-2.5-7b", 80e9)).toEqual([1, 1]);
  expect(numbers("llama-3.3-70b", 80e9)).toEqual([4, 1]);
  expect(numbers("minimax-m2.5", 48e9)).toEqual([4, 2]);
  const { args } = startOf("deepseek-r1", { gpuBytes: 80e9 });
  expect(args.join(" ")).toContain(
    "--tensor-parallel-size 8 --pipeline-parallel-size 2 --distributed-executor-backend ray",
  );
  expect(() => asKubernetes(startOf("deepseek-r1", { gpuBytes: 80e9 }))).toThrow("more than one machine");
  expect(startOf("deepseek-r1", { gpus: 4 }).gpus).toBe(4);
});

test("every chat model is asked for priorities and its prefix cache; one that sleeps, for the switches of that", () => {
  const args = startOf("qwen-3-32b").args.join(" ");
  expect(args).toContain("--scheduling-policy priority --enable-prefix-caching");
  expect(startOf("qwen-3-32b", { sleep: true })).toMatchObject({
    args: expect.arrayContaining(["--enable-sleep-mode"]),
    env: { VLLM_SERVER_DEV_MODE: "1" },
  });
});

test("the entry that it prints for the gateway is taken by the table's reader", () => {
  const yaml = asEngine(startOf("qwen-3-32b"), "127.0.0.1", false);
  writeFileSync(join(folder, "engines.yaml"), `${kindsOf()}\nengines:\n${yaml.replace(/^/gm, "  ")}`);
  for (const table of ["models", "plans", "queue"]) {
    Bun.spawnSync(["cp", join(import.meta.dir, `../data/${table}.yaml`), folder]);
  }
  const { engines } = loadConfig({ env: {}, dataDir: folder });
  expect(engines).toMatchObject([{ id: "qwen-3-32b", kind: "vllm", url: "http://127.0.0.1:8000/v1" }]);
});

/** The kinds of the project's own table. */
function kindsOf(): string {
  const [text] = parseAllDocuments(readFileSync(join(import.meta.dir, "../data/engines.yaml"), "utf8"));
  return JSON.stringify({ kinds: text!.toJS().kinds })
    .slice(1, -1)
    .replace(/^"kinds":/, "kinds: ");
}

test("data goes to standard output; what cannot be served is refused in one line", async () => {
  const { code, out, err } = await oxbow(join(folder, "home"), ["deploy", "vllm", "Qwen/Qwen3-32B", "--as", "systemd"]);
  expect({ code, err }).toMatchObject({ code: 0 });
  expect(out).toContain("[Service]");
  expect(err).toContain("kind: vllm");
  const json = await oxbow(join(folder, "home"), ["deploy", "vllm", "glm-5", "--json"]);
  expect(JSON.parse(json.out)).toMatchObject({ model: "glm-5", machines: 4, memoryStated: true });
  const refused = await oxbow(join(folder, "home"), ["deploy", "vllm", "whisper-turbo"]);
  expect(refused).toMatchObject({ code: 1, out: "" });
  expect(refused.err).toContain("category audio");
}, 60_000);
