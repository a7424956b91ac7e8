// The library called directly, as its documentation does: its pipeline with mean pooling, no wire, no scheduling. Prints
// embeddings a second, and milliseconds of processor time for one, for each size of batch: bun bench/bare-embeddings.ts FOLDER THREADS TEXTS BATCH ...

import { env, pipeline } from "@huggingface/transformers";
import { textsOf } from "./embedding-texts.ts";

const [folder, threads, least, ...batches] = process.argv.slice(2);
env.allowRemoteModels = false;
const extract = await pipeline("feature-extraction", folder!, {
  dtype: "fp32",
  session_options: { intraOpNumThreads: Number(threads), interOpNumThreads: 1 },
});
await extract(["warm"], { pooling: "mean", normalize: true });

for (const batch of batches.map(Number)) {
  const texts = textsOf(Math.max(Number(least), batch));
  const start = performance.now();
  const used = process.cpuUsage();
  for (let from = 0; from < texts.length; from += batch) {
    const { dims } = await extract(texts.slice(from, from + batch), { pooling: "mean", normalize: true });
    if (dims[0] !== Math.min(batch, texts.length - from)) throw new Error("some texts have no embedding");
  }
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(used);
  console.log(texts.length / seconds, (user + system) / 1000 / texts.length);
}
process.exit(0);
