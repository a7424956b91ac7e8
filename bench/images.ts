// How fast images are painted, through the whole server, beside the libraries called directly: the same graphs, as many
// steps, the same threads, in turns. The pipeline is the small one of the tests: what is around it weighs far more than around
// a real one, whose steps take seconds.

import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeDiffusion } from "../models/fixtures/diffusion.ts";
import { writeData } from "./data.ts";
import type { Target } from "./load.ts";
import { median } from "./proxies.ts";

const THREADS = 1;
const SIDE = 512;
const STEPS = 20;
/** Painted in one measurement, one after the other. */
const IMAGES = 4;

/**
 * @param start starts the server with these settings, and says where it listens
 * @param rounds the libraries and the server take turns this often
 */
export async function benchImages(start: (env: Record<string, string>) => Promise<Target>, rounds: number) {
  const folder = mkdtempSync(join(tmpdir(), "oxbow-bench-images-"));
  writeDiffusion(folder);
  const target = await start({ OXBOW_DATA: writeData(engines(folder), MODEL) });
  await paint(target);
  const [bares, oxbows]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    bares.push(await runBare(folder));
    oxbows.push(await runServed(target));
  }
  const ratios = oxbows.map((speed, round) => speed / bares[round]!);
  const rounded = (value: number) => Math.round(100 * value) / 100;
  return [
    {
      pixels: SIDE,
      steps: STEPS,
      barePerSecond: rounded(median(bares)),
      oxbowPerSecond: rounded(median(oxbows)),
      ratio: rounded(median(ratios)),
    },
  ];
}

const MODEL = `
brush:
  name: Brush
  category: images
  tier: free
  contextTokens: null
  capabilities: [image_generation]
  images: { size: ${SIDE}x${SIDE}, sideMin: 64, sideMax: 1024, sideStep: 8 }
  diffusion: { steps: { low: ${STEPS}, medium: ${STEPS}, high: ${STEPS} }, guidance: 7.5 }
  ownedBy: oxbow
  weights: null
  source: [models/fixtures]
  read: 2026-11-21
`;

const engines = (folder: string) => `
kinds:
  onnx: { worker: workers/onnx/main.ts, loadsFiles: true, features: [image_generation] }
engines:
  brush: { kind: onnx, models: [{ id: brush, file: ${JSON.stringify(folder)} }], slots: 4, threads: ${THREADS} }
`;

async function runBare(folder: string): Promise<number> {
  const script = join(import.meta.dir, "bare-images.ts");
  const command = [process.execPath, script, folder, ...[THREADS, SIDE, STEPS, IMAGES].map(String)];
  const child = Bun.spawn(command, { stdout: "pipe", stderr: "ignore" });
  const speed = Number((await child.stdout.text()).trim());
  if (!(speed > 0)) throw new Error("the libraries did not run: try bench/bare-images.ts by hand");
  return speed;
}

async function runServed(target: Target): Promise<number> {
  const start = performance.now();
  for (let at = 0; at < IMAGES; at++) await paint(target);
  return (IMAGES * 1000) / (performance.now() - start);
}

async function paint(target: Target): Promise<void> {
  const body = { model: "brush", prompt: "a lighthouse at night", response_format: "b64_json" };
  const answer = await fetch(target.url, { method: "POST", headers: target.headers, body: JSON.stringify(body) });
  const { data } = (await answer.json()) as { data?: { b64_json?: string }[] };
  if (!data?.[0]?.b64_json) throw new Error(`no image in the answer: ${answer.status}`);
}
