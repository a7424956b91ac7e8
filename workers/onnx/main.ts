// The worker that hosts one ONNX model. Protocol: packages/contract/worker.ts. This file owns the process: how it starts,
// what ends it, and what it says last. HTTP is answered here; the model computes in a thread of its own, because a run of
// it holds its thread for seconds (inference.ts).

import { rmSync } from "node:fs";
import { basename } from "node:path";
import { EXIT_MODEL_UNUSABLE, type WorkerConfig, type WorkerModel } from "@oxbow/contract";
import { familyOf } from "./families/families.ts";
import { startInference } from "./inference-thread.ts";
import { type OnnxOptions, readOptions } from "./options.ts";
import { serve } from "./server.ts";
import { UnusableModel } from "./unusable.ts";
import { openWeights } from "./weights.ts";

const log = (line: string) => process.stderr.write(`${line}\n`);

async function main(): Promise<void> {
  const { config, model, options } = readConfig(process.argv[2]);
  exitWithParent();
  rmSync(config.socket, { force: true });
  const server = serve(config.socket, model, log);
  process.on("SIGTERM", () => {
    const leave = () => quit(0, config.socket);
    setTimeout(leave, options.drainMsMax);
    server.drain().then(leave, leave);
  });

  const weights = openWeights(model.file);
  const family = familyOf(model, weights.config);
  const { inference, info } = await startInference({
    family: family.id,
    folder: weights.folder,
    model,
    options,
    threads: config.threads,
    onProgress: server.progress,
    onBroken(error) {
      log(`the inference thread broke: ${error.message}`);
      quit(1, config.socket);
    },
  });
  const { openRoutes } = await family.routes();
  const { slots } = config;
  server.open(await openRoutes({ model, folder: weights.folder, options, slots, inference, info, log }));
}

interface Start {
  config: WorkerConfig;
  model: WorkerModel & { file: string };
  options: OnnxOptions;
}

function readConfig(text: string | undefined): Start {
  const config = JSON.parse(text ?? "null") as WorkerConfig | null;
  if (!config) throw new UnusableModel("needs its configuration as the first argument");
  const [model, ...others] = config.models;
  if (!model || others.length > 0)
    throw new UnusableModel(`cannot be hosted: a worker takes one, not ${config.models.length}`);
  if (!model.file) throw new UnusableModel(`cannot be hosted: the entry of ${model.id} names no file`);
  try {
    return { config, model: { ...model, file: model.file }, options: readOptions(config.options) };
  } catch (cause) {
    throw new UnusableModel(`cannot be hosted: ${(cause as Error).message}`);
  }
}

/** The parent holds the other end of standard input: its end is the parent's. */
function exitWithParent(): void {
  process.stdin.on("end", () => process.exit(0));
  process.stdin.on("error", () => process.exit(0));
  process.stdin.resume();
}

function quit(code: number, socket: string): never {
  rmSync(socket, { force: true });
  process.exit(code);
}

main().catch((error: unknown) => {
  const file = readableFile();
  if (error instanceof UnusableModel) {
    log(`fatal: ${file} ${error.message}`);
    process.exit(EXIT_MODEL_UNUSABLE);
  }
  log(`${file} could not be loaded: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
});

function readableFile(): string {
  try {
    const config = JSON.parse(process.argv[2]!) as WorkerConfig;
    return basename(config.models[0]!.file!);
  } catch {
    return "the model";
  }
}
