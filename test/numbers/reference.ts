// Runs a Python program that computes what one of our models computes, by other means: numpy and the Python onnxruntime.

import { join } from "node:path";
import { pythonWithModels } from "../python/venv.ts";

/** Far more than any of the small models needs. */
const REFERENCE_MS_MAX = 120_000;

/**
 * @param program a file of this folder; reads one JSON document and writes one
 * @throws Error with what it wrote to standard error when it fails
 */
export async function reference<Answer>(program: string, question: unknown): Promise<Answer> {
  const child = Bun.spawn([pythonWithModels(), join(import.meta.dir, program)], {
    stdin: new TextEncoder().encode(JSON.stringify(question)),
    stdout: "pipe",
    stderr: "pipe",
    timeout: REFERENCE_MS_MAX,
    env: { PATH: process.env.PATH, PYTHONDONTWRITEBYTECODE: "1", OMP_NUM_THREADS: "1" },
  });
  const [text, errors] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  if ((await child.exited) !== 0) throw new Error(`${program} failed:\n${errors}`);
  return JSON.parse(text) as Answer;
}
