// The worker that hosts one GGUF model.

import { runWorker } from "@oxbow/worker";
import { readGgufHeader } from "./gguf-header.ts";
import { readLlamaOptions } from "./options.ts";
import { openRoutes } from "./routes.ts";
import { createScheduler } from "./scheduler.ts";

runWorker({
  name: "llama",
  readOptions: readLlamaOptions,
  async load({ config, model, options, log, progress, quit }) {
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
      onProgress: progress,
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
        quit(1);
      },
    });
    return openRoutes({
      model,
      loaded,
      scheduler,
      slots: config.slots,
      randomSeed: () => crypto.getRandomValues(new Uint32Array(1))[0]!,
      log,
    });
  },
});
