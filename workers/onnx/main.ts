// The worker that hosts one ONNX model. HTTP is answered here; the model computes in a thread of its own, because a run of
// it holds its thread for seconds (inference.ts).

import { runWorker } from "@oxbow/worker";
import { familyOf } from "./families/families.ts";
import { startInference } from "./inference-thread.ts";
import { readOnnxOptions } from "./options.ts";
import { openWeights } from "./weights.ts";

runWorker({
  name: "onnx",
  readOptions: readOnnxOptions,
  async load({ config, model, options, log, progress, quit }) {
    const weights = openWeights(model.file);
    const family = familyOf(model, weights.config);
    const { inference, info } = await startInference({
      family: family.id,
      folder: weights.folder,
      model,
      options,
      threads: config.threads,
      onProgress: progress,
      onBroken(error) {
        log(`the inference thread broke: ${error.message}`);
        quit(1);
      },
    });
    const { openRoutes } = await family.routes();
    const { slots } = config;
    return openRoutes({ model, folder: weights.folder, options, slots, inference, info, log });
  },
});
