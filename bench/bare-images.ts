// The libraries called directly: `bun bench/bare-images.ts FOLDER THREADS SIDE STEPS IMAGES` paints square images one after the
// other and prints images a second, without the start. The graphs are run as often as they must be, with the arithmetic of
// Euler's steps between them; no wire, no tokenizer, no turns, and noise from the nearest source.

import { InferenceSession, Tensor } from "onnxruntime-node";
import sharp from "sharp";

const [folder, threads, side, steps, images] = process.argv.slice(2) as [string, string, string, string, string];
const open = (part: string) =>
  InferenceSession.create(`${folder}/${part}/model.onnx`, {
    executionProviders: ["cpu"],
    intraOpNumThreads: Number(threads),
    interOpNumThreads: 1,
    logSeverityLevel: 3,
  });
const [encoder, unet, decoder] = await Promise.all([open("text_encoder"), open("unet"), open("vae_decoder")]);
const latent = Number(side) / 8;
const size = 4 * latent * latent;
const GUIDANCE = 7.5;
const TOKENS = 77;

await paint(1);
const start = performance.now();
for (let at = 0; at < Number(images); at++) await paint(Number(steps));
console.log((Number(images) * 1000) / (performance.now() - start));
process.exit(0);

async function paint(count: number): Promise<Buffer> {
  const ids = new Tensor("int32", new Int32Array(2 * TOKENS).fill(7), [2, TOKENS]);
  const { last_hidden_state: hidden } = await encoder.run({ input_ids: ids });
  let image = Float32Array.from({ length: size }, () => 28 * (Math.random() + Math.random() + Math.random() - 1.5));
  for (let step = count; step > 0; step--) {
    const [sigma, next] = [14 * (step / count), 14 * ((step - 1) / count)];
    const scaled = image.map((value) => value / Math.sqrt(sigma * sigma + 1));
    const both = new Float32Array(2 * size);
    both.set(scaled);
    both.set(scaled, size);
    const { out_sample: said } = await unet.run({
      sample: new Tensor("float32", both, [2, 4, latent, latent]),
      timestep: new Tensor("int64", BigInt64Array.of(BigInt(Math.round((999 * step) / count))), [1]),
      encoder_hidden_states: hidden!,
    });
    const values = said!.data as Float32Array;
    image = image.map((value, at) => {
      const pulled = values[at]! + GUIDANCE * (values[size + at]! - values[at]!);
      return value + pulled * (next - sigma);
    });
  }
  const latents = new Tensor(
    "float32",
    image.map((value) => value / 0.18215),
    [1, 4, latent, latent],
  );
  const { sample } = await decoder.run({ latent_sample: latents });
  const planes = sample!.data as Float32Array;
  const pixels = Number(side) ** 2;
  const bytes = new Uint8Array(3 * pixels);
  for (let plane = 0; plane < 3; plane++) {
    for (let at = 0; at < pixels; at++) {
      bytes[3 * at + plane] = Math.round(255 * Math.min(1, Math.max(0, planes[plane * pixels + at]! / 2 + 0.5)));
    }
  }
  return sharp(bytes, { raw: { width: Number(side), height: Number(side), channels: 3 } })
    .png()
    .toBuffer();
}
