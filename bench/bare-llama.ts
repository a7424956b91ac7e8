// The bare engine: the addon's own batch and sampler in a closed loop, as many sequences as asked, no templates, no wire,
// no scheduling. Prints tokens a second for each number of sequences: bun bench/bare-llama.ts FILE THREADS TOKENS N ...

import { getLlama } from "node-llama-cpp";
import { openNative } from "../workers/llama/native.ts";

const [file, threads, tokensEach, ...parallels] = process.argv.slice(2);
const llama = await getLlama({ gpu: false, build: "never", maxThreads: Number(threads) });
const model = await llama.loadModel({ modelPath: file! });
const most = Math.max(...parallels.map(Number));
const context = await model.createContext({
  contextSize: 512,
  sequences: most,
  batchSize: 512,
  threads: Number(threads),
});
const { context: native, createSampler } = openNative(model, context);
const prompt = Uint32Array.from(model.tokenize("Hello! How are you today?"));
const FIRST = Uint32Array.of(0);

async function generate(sequences: number, tokens: number): Promise<number> {
  const ids = Array.from({ length: sequences }, (_, id) => id);
  const samplers = ids.map(() => createSampler({ temperature: 0 }));
  for (const id of ids) native.clear(id);
  const start = performance.now();
  let next: Uint32Array[] = ids.map(() => prompt);
  let position = 0;
  for (let step = 0; step < tokens; step++) {
    native.startBatch(next.reduce((sum, part) => sum + part.length, 0));
    const last = Uint32Array.of(next[0]!.length - 1);
    const places = ids.map((id) => native.add(id, position, next[id]!, last.length ? last : FIRST)[0]!);
    await native.decode();
    position += next[0]!.length;
    const sampled = await Promise.all(places.map((place, id) => native.sample(place, samplers[id]!)));
    next = sampled.map((token) => Uint32Array.of(token));
  }
  const seconds = (performance.now() - start) / 1000;
  for (const sampler of samplers) sampler.dispose();
  return (sequences * tokens) / seconds;
}

for (const parallel of parallels.map(Number)) {
  await generate(parallel, 8);
  console.log(await generate(parallel, Number(tokensEach)));
}
process.exit(0);
