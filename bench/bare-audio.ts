// The libraries called directly, as their documentation does: `bun bench/bare-audio.ts whisper|kokoro FOLDER THREADS INPUT`.
// Prints seconds of sound for each second of work, without the start. No wire, no second tries, no cutting into segments.

import { AutoFeatureExtractor, env } from "@huggingface/transformers";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { phonemize } from "phonemizer";

const [kind, folder, threads, input] = process.argv.slice(2) as [string, string, string, string];
env.allowRemoteModels = false;
const open = (name: string) =>
  InferenceSession.create(`${folder}/onnx/${name}.onnx`, {
    executionProviders: ["cpu"],
    intraOpNumThreads: Number(threads),
    interOpNumThreads: 1,
  });
const json = (name: string) => Bun.file(`${folder}/${name}`).json();
const ids = (tokens: number[]) => new Tensor("int64", BigInt64Array.from(tokens, BigInt), [1, tokens.length]);

const work = await (kind === "whisper" ? hearing() : speaking());
await work();
const start = performance.now();
const seconds = await work();
console.log(seconds / ((performance.now() - start) / 1000));
process.exit(0);

/** Windows of 30 s, each decoded greedily with what the decoder has kept. */
async function hearing(): Promise<() => Promise<number>> {
  const [encoder, decoder] = [await open("encoder_model"), await open("decoder_model_merged")];
  const extract = await AutoFeatureExtractor.from_pretrained(folder);
  const config = await json("generation_config.json");
  const bytes = await Bun.file(input).bytes();
  const samples = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const begin = [config.decoder_start_token_id, config.lang_to_id["<|en|>"], config.task_to_id.transcribe];
  return async () => {
    for (let from = 0; from < samples.length; from += 480_000) {
      const { input_features: mel } = await extract(samples.subarray(from, from + 480_000));
      const heard = await encoder.run({ input_features: new Tensor("float32", mel.data, mel.dims) });
      let past: Record<string, Tensor> = {};
      for (const about of decoder.inputMetadata) {
        if (!about.name.startsWith("past") || !about.isTensor) continue;
        const [, heads, , size] = about.shape as number[];
        past[about.name] = new Tensor("float32", new Float32Array(0), [1, heads!, 0, size!]);
      }
      for (let tokens = begin, first = true; tokens.length > 0; first = false) {
        const feeds = { input_ids: ids(tokens), encoder_hidden_states: heard.last_hidden_state as Tensor, ...past };
        const out = await decoder.run({ ...feeds, use_cache_branch: new Tensor("bool", [!first], [1]) });
        const { data, dims } = out.logits as Tensor;
        const last = (data as Float32Array).subarray(-dims.at(-1)!);
        const token = last.reduce((best, score, at) => (score > last[best]! ? at : best), 0);
        past = Object.fromEntries(
          Object.keys(past).map((name) => [name, out[name.replace("past_key_values", "present")] as Tensor]),
        );
        tokens = token === config.eos_token_id ? [] : [token];
      }
    }
    return samples.length / 16_000;
  };
}

/** Sentence after sentence. */
async function speaking(): Promise<() => Promise<number>> {
  const session = await open("model");
  const vocabulary: Record<string, number> = (await json("tokenizer.json")).model.vocab;
  const style = new Float32Array(await Bun.file(`${folder}/voices/af_heart.bin`).arrayBuffer());
  const sentences = (await Bun.file(input).text()).trim().split("\n");
  return async () => {
    let samples = 0;
    for (const sentence of sentences) {
      const phonemes = (await phonemize(sentence, "en-us")).join(" ");
      const tokens = [...phonemes].flatMap((each) => vocabulary[each] ?? []);
      const row = Math.min(tokens.length, 509) * 256;
      const out = await session.run({
        input_ids: ids([0, ...tokens, 0]),
        style: new Tensor("float32", style.slice(row, row + 256), [1, 256]),
        speed: new Tensor("float32", [1], [1]),
      });
      samples += (out.waveform as Tensor).dims[1]!;
    }
    return samples / 24_000;
  };
}
