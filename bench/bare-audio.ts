// The libraries called directly: `bun bench/bare-audio.ts whisper|kokoro FOLDER THREADS INPUT`. Prints seconds of audio for
// each second of work, without the start.

import { AutomaticSpeechRecognitionPipeline, env, pipeline } from "@huggingface/transformers";

const [kind, folder, threads, input] = process.argv.slice(2) as [string, string, string, string];
env.allowRemoteModels = false;
const session_options = { intraOpNumThreads: Number(threads), interOpNumThreads: 1 };
if (kind === "whisper") {
  const bytes = await Bun.file(input).bytes();
  const samples = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const hear = (await pipeline("automatic-speech-recognition", folder, { dtype: "fp32", session_options })) as AutomaticSpeechRecognitionPipeline;
  const options = { chunk_length_s: 30, stride_length_s: 5, return_timestamps: true, language: "en" } as const;
  await hear(samples.subarray(0, 16_000), options);
  const start = performance.now();
  const out = await hear(samples, options);
  console.error(JSON.stringify(out).slice(0, 300));
  console.log(samples.length / 16_000 / ((performance.now() - start) / 1000));
}
