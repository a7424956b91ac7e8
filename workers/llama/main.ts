// The worker that hosts one GGUF model. Protocol: packages/contract/worker.ts. This file owns the process: how it starts,
// what ends it, and what it says last.

import { rmSync } from "node:fs";
import { basename } from "node:path";
import { EXIT_MODEL_UNUSABLE, type WorkerConfig, type WorkerModel } from "@oxbow/contract";
import { readGgufHeader } from "./gguf-header.ts";
import { type LlamaOptions, readOptions } from "./options.ts";
import { createScheduler } from "./scheduler.ts";
import { serve } from "./server.ts";
import { UnusableModel } from "./unusable.ts";

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

  const slow = AbortSignal.timeout(options.loadMsMax);
  const late = new Promise<never>((_, reject) => {
    slow.addEventListener("abort", () => reject(new Error(`loading took longer than ${options.loadMsMax} ms`)));
  });
  const header = readGgufHeader(model.file);
  // Only now: the library takes a quarter of a second to read, and the socket should answer before that.
  const { loadModel } = await import("./load.ts");
  // Every sequence gets its token in each step, and prompts at least as much again.
  const batchTokens = Math.max(options.batchTokens, 2 * config.slots);
  const loading = loadModel({
    ...options,
    batchTokens,
    file: model.file,
    header,
    contextTokens: model.contextTokens,
    slots: config.slots,
    threads: config.threads,
    signal: slow,
    onProgress: server.progress,
    log,
  });
  const loaded = await Promise.race([loading, late]);
  const scheduler = createScheduler(loaded.native, {
    slots: config.slots,
    contextTokens: loaded.contextTokens,
    batchTokens,
    waitingMax: options.waitingMax,
    onBroken(error) {
      log(`the engine broke: ${String(error)}`);
      quit(1, config.socket);
    },
  });
  server.open({
    model,
    loaded,
    scheduler,
    slots: config.slots,
    randomSeed: () => crypto.getRandomValues(new Uint32Array(1))[0]!,
    log,
  });
}

interface Start {
  config: WorkerConfig;
  model: WorkerModel & { file: string };
  options: LlamaOptions;
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
