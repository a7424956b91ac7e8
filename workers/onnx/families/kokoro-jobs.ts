// Speech, the half in the inference thread: one piece of text to phonemes, and those to sound.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { UnusableModel } from "@oxbow/worker";
import { Tensor } from "onnxruntime-node";
import { openSession } from "../session.ts";
import { graphFile, readJson } from "../weights.ts";
import type { Loaded, Place } from "./family.ts";
import { openPhonemizer } from "./kokoro-phonemes.ts";

export interface SayAsk {
  text: string;
  voice: string;
  speed: number;
}

export interface Said {
  /** 24 kHz. */
  samples: Float32Array;
  /** That went in. */
  phonemes: number;
}

export interface KokoroInfo {
  /** Those that can be read here. */
  voices: string[];
}

/** A voice has a style for each number of phonemes. */
const STYLE = 256;
const STYLE_ROWS = 510;
/** At the start and at the end. */
const PAD = 0;

export async function loadJobs({ folder, options, threads, progress }: Place): Promise<Loaded> {
  const vocabulary = vocabularyOf(folder);
  const files = voiceFiles(folder);
  const phonemizer = await openPhonemizer();
  const voices = files.filter((voice) => phonemizer.reads(voice));
  if (voices.length === 0) throw new UnusableModel("has no voice whose language can be read here");
  progress(0.1);
  const session = await openSession(graphFile(folder, "model", options.dtype), threads);
  const missing = ["input_ids", "style", "speed"].find((name) => !session.inputNames.includes(name));
  if (missing) throw new UnusableModel(`has a graph without the input ${missing}`);
  const styles = new Map<string, Float32Array>();

  function styleOf(voice: string): Float32Array {
    const known = styles.get(voice);
    if (known) return known;
    const bytes = readFileSync(join(folder, "voices", `${voice}.bin`));
    const style = new Float32Array(new Uint8Array(bytes).buffer);
    styles.set(voice, style);
    return style;
  }

  async function run(ids: number[], voice: string, speed: number): Promise<Float32Array> {
    const row = Math.min(ids.length, STYLE_ROWS - 1) * STYLE;
    const padded = [PAD, ...ids, PAD];
    const found = await session.run({
      input_ids: new Tensor("int64", BigInt64Array.from(padded, BigInt), [1, padded.length]),
      style: new Tensor("float32", styleOf(voice).slice(row, row + STYLE), [1, STYLE]),
      speed: new Tensor("float32", Float32Array.of(speed), [1]),
    });
    const wave = found.waveform ?? found[session.outputNames[0]!];
    return (wave as Tensor).data as Float32Array;
  }

  async function say({ text, voice, speed }: SayAsk) {
    const phonemes = await phonemizer.phonemize(text, voice);
    const ids = [...phonemes].flatMap((phoneme) => vocabulary.get(phoneme) ?? []);
    const parts: Float32Array[] = [];
    for (let at = 0; at < ids.length; at += STYLE_ROWS) {
      parts.push(await run(ids.slice(at, at + STYLE_ROWS), voice, speed));
    }
    const samples = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of parts) {
      samples.set(part, at);
      at += part.length;
    }
    return { output: { samples, phonemes: ids.length } satisfies Said, transfer: [samples.buffer] };
  }

  progress(0.9);
  await say({ text: "Hi.", voice: voices[0]!, speed: 1 }).catch((cause: Error) => {
    throw new UnusableModel(`cannot be run: ${cause.message.replace(/\s+/g, " ").slice(0, 300)}`);
  });
  progress(1);
  return { info: { voices } satisfies KokoroInfo, jobs: { say } };
}

/** Phonemes are single characters. */
function vocabularyOf(folder: string): Map<string, number> {
  const model = readJson(folder, "tokenizer.json")?.model as { vocab?: Record<string, number> } | undefined;
  if (!model?.vocab) throw new UnusableModel("has no tokenizer.json with phonemes");
  return new Map(Object.entries(model.vocab));
}

function voiceFiles(folder: string): string[] {
  let names: string[];
  try {
    names = readdirSync(join(folder, "voices"));
  } catch {
    throw new UnusableModel("has no folder of voices");
  }
  return names.flatMap((name) => (name.endsWith(".bin") ? [name.slice(0, -".bin".length)] : [])).sort();
}
