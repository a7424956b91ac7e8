// How fast recordings are heard and texts are spoken, through the whole server, beside the libraries called directly: the same
// files, the same threads, in turns. Seconds of sound for each second of work. The models are the small ones of the tests: what
// is around them weighs far more than around real ones.

import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeKokoro } from "../models/fixtures/kokoro.ts";
import { writeWhisper } from "../models/fixtures/whisper.ts";
import { writeData } from "./data.ts";
import type { Target } from "./load.ts";
import { median } from "./proxies.ts";

const THREADS = 1;
const RECORDING_S = 300;
const SENTENCES = Array.from({ length: 40 }, (_, at) => `This is sentence number ${at + 1} of a text that is spoken.`);

/**
 * @param start starts the server with these settings, and says where it listens
 * @param rounds the libraries and the server take turns this often
 */
export async function benchAudio(start: (env: Record<string, string>) => Promise<Target>, rounds: number) {
  const folder = mkdtempSync(join(tmpdir(), "oxbow-bench-audio-"));
  const [ear, mouth] = [join(folder, "ear"), join(folder, "mouth")];
  writeWhisper(ear);
  writeKokoro(mouth);
  const samples = Float32Array.from({ length: RECORDING_S * 16_000 }, (_, at) => 0.3 * Math.sin(at / 20));
  const [sound, text] = [join(folder, "sound.f32"), join(folder, "text.txt")];
  writeFileSync(sound, new Uint8Array(samples.buffer));
  writeFileSync(text, SENTENCES.join("\n"));
  const target = await start({ OXBOW_DATA: writeData(engines(ear, mouth), MODELS) });

  const works = [
    { work: "transcription", bare: () => runBare("whisper", ear, sound), oxbow: () => hear(target, wavOf(samples)) },
    { work: "speech", bare: () => runBare("kokoro", mouth, text), oxbow: () => speak(target) },
  ];
  const rows: object[] = [];
  for (const { work, bare, oxbow } of works) {
    await oxbow();
    const [bares, oxbows]: [number[], number[]] = [[], []];
    for (let round = 0; round < rounds; round++) {
      bares.push(await bare());
      oxbows.push(await oxbow());
    }
    const ratios = oxbows.map((speed, round) => speed / bares[round]!);
    const round = (value: number, digits: number) => Math.round(value * 10 ** digits) / 10 ** digits;
    rows.push({
      work,
      bareTimesRealTime: round(median(bares), 1),
      oxbowTimesRealTime: round(median(oxbows), 1),
      ratio: round(median(ratios), 2),
    });
  }
  return rows;
}

const model = (id: string, capability: string) => `
${id}:
  name: ${id}
  category: audio
  tier: free
  contextTokens: null
  capabilities: [${capability}]
  ownedBy: oxbow
  weights: null
  source: [models/fixtures]
  read: 2026-11-21
`;
const MODELS = model("ear", "transcription") + model("mouth", "speech");

const engines = (ear: string, mouth: string) => `
kinds:
  onnx: { worker: workers/onnx/main.ts, loadsFiles: true, features: [transcription, speech] }
engines:
  ear: { kind: onnx, models: [{ id: ear, file: ${JSON.stringify(ear)} }], slots: 4, threads: ${THREADS} }
  mouth: { kind: onnx, models: [{ id: mouth, file: ${JSON.stringify(mouth)} }], slots: 4, threads: ${THREADS} }
`;

async function runBare(kind: string, folder: string, input: string): Promise<number> {
  const script = join(import.meta.dir, "bare-audio.ts");
  const command = [process.execPath, script, kind, folder, String(THREADS), input];
  const child = Bun.spawn(command, { stdout: "pipe", stderr: "ignore" });
  const speed = Number((await new Response(child.stdout).text()).trim());
  if (!(speed > 0)) throw new Error("the library did not run: try bench/bare-audio.ts by hand");
  return speed;
}

async function hear(target: Target, wav: Uint8Array<ArrayBuffer>): Promise<number> {
  const form = new FormData();
  form.append("model", "ear");
  form.append("language", "en");
  form.append("file", new File([wav], "sound.wav"));
  const { authorization } = target.headers as { authorization: string };
  const start = performance.now();
  const answer = await fetch(target.url.replace("/speech", "/transcriptions"), {
    method: "POST",
    body: form,
    headers: { authorization },
  });
  const { text } = (await answer.json()) as { text?: string };
  if (!text) throw new Error(`no transcript in the answer: ${answer.status}`);
  return RECORDING_S / ((performance.now() - start) / 1000);
}

async function speak(target: Target): Promise<number> {
  const body = { model: "mouth", voice: "af_heart", input: SENTENCES.join(" "), response_format: "pcm" };
  const start = performance.now();
  const answer = await fetch(target.url, { method: "POST", headers: target.headers, body: JSON.stringify(body) });
  const bytes = await answer.bytes();
  if (!answer.ok) throw new Error(`no speech in the answer: ${answer.status}`);
  return bytes.length / 2 / 24_000 / ((performance.now() - start) / 1000);
}

/** 16 bits, one channel, 16 kHz. */
function wavOf(samples: Float32Array): Uint8Array<ArrayBuffer> {
  const bytes = Buffer.alloc(44 + 2 * samples.length);
  bytes.write("RIFF", 0, "latin1");
  bytes.writeUInt32LE(36 + 2 * samples.length, 4);
  bytes.write("WAVEfmt ", 8, "latin1");
  bytes.set([16, 0, 0, 0, 1, 0, 1, 0], 16);
  bytes.writeUInt32LE(16_000, 24);
  bytes.writeUInt32LE(32_000, 28);
  bytes.set([2, 0, 16, 0], 32);
  bytes.write("data", 36, "latin1");
  bytes.writeUInt32LE(2 * samples.length, 40);
  for (const [at, sample] of samples.entries()) bytes.writeInt16LE(Math.round(sample * 32_767), 44 + 2 * at);
  return bytes as Uint8Array<ArrayBuffer>;
}
