// Data with generated ONNX models in it, for tests of a whole server: each written at the start of a test file, and gone at
// its end.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { dataWith, type EngineTable, type ModelTable, type PlanTable, simulatorAlone } from "./data.ts";
import { eventually, KEY } from "./harness.ts";

export interface OnnxModel {
  /** Writes the model into a folder. @returns the file to name in engines.yaml */
  write(folder: string): string;
  /** Of its engine, where it is not the onnx worker. */
  kind?: string;
  /** Of its entry in models.yaml, on top of what every model has. */
  entry: Record<string, unknown> & { category: string };
}

/**
 * The catalogue by the simulator, where that runs, and these models on the real worker.
 * @returns the folder for `OXBOW_DATA`, and what removes everything
 */
export function dataWithOnnx(
  models: Record<string, OnnxModel>,
  more: {
    engines?: (table: EngineTable) => void;
    plans?: (table: PlanTable) => void;
    models?: (table: ModelTable) => void;
  } = {},
): { folder: string; remove: () => void } {
  const weights = mkdtempSync(join(tmpdir(), "oxbow-weights-"));
  const data = dataWith(
    (table) => {
      simulatorAlone(table);
      for (const [id, model] of Object.entries(models)) {
        const file = model.write(join(weights, id));
        table.engines[id] = { kind: model.kind ?? "onnx", models: [{ id, file }], slots: 8, threads: 1 };
      }
      more.engines?.(table);
    },
    more.plans,
    (table) => {
      for (const [id, { entry }] of Object.entries(models)) {
        table[id] = { ...COMMON, name: id, capabilities: [entry.category], ...entry };
      }
      more.models?.(table);
    },
  );
  const remove = () => {
    data.remove();
    rmSync(weights, { recursive: true, force: true });
  };
  return { folder: data.folder, remove };
}

const COMMON = {
  tier: "free",
  contextTokens: null,
  ownedBy: "oxbow",
  weights: null,
  source: ["models/fixtures"],
  read: "2026-11-21",
};

/** Waits until the models are loaded: the simulator is there at once, and what is ready with it does not wait for them. */
export async function warm({ baseUrl }: { baseUrl: string }, models: readonly string[]): Promise<void> {
  for (const id of models) {
    await eventually(
      async () => {
        const answer = await fetch(`${baseUrl}/models/${id}`, { headers: { authorization: `Bearer ${KEY}` } });
        return ((await answer.json()) as { state?: string }).state === "warm";
      },
      `the model ${id} is warm`,
      60_000,
    );
  }
}
