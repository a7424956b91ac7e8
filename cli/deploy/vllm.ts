// How vLLM is started for a model of the catalogue: on how many accelerators, with which arguments and environment. How that
// is written down is for forms.ts.
//
// Sources, read 2026-11-21: docs.vllm.ai (serve arguments, environment variables, sleep mode, parallelism and scaling,
// deployment on Kubernetes) and github.com/vllm-project/recipes.

import type { Model } from "../../server/config.ts";
import { CommandError } from "../exit.ts";

export interface VllmStart {
  model: Model;
  /** `owner/name` on the hub. */
  repository: string;
  revision: string | undefined;
  /** Accelerators on one machine. */
  gpus: number;
  /** Machines that work on one request together; more than one needs a Ray cluster. */
  machines: number;
  /** Least memory that all accelerators together need. */
  memoryBytes: number;
  /** Whether a source states that, or it is a guess. */
  memoryStated: boolean;
  version: string | undefined;
  /** What follows `vllm serve`. */
  args: string[];
  env: Record<string, string>;
  port: number;
}

export interface VllmWishes {
  /** Of one accelerator, in bytes. */
  gpuBytes: number;
  /** In place of what is reckoned from the sizes. */
  gpus?: number | undefined;
  host: string;
  port: number;
  /** Can be put to sleep: the weights go to the machine's memory, and another model has the accelerator. */
  sleep: boolean;
}

/** A machine with more is rare, and so are models that can be cut into more. */
const GPUS_MAX = 8;
/** What vLLM takes of an accelerator unless told otherwise (`--gpu-memory-utilization`). */
const MEMORY_SHARE = 0.9;
/** For weights of 16 bits: two bytes for each parameter, and a fifth more for what works on them. */
const BYTES_PER_PARAMETER = 2 * 1.2;

/** @throws CommandError for models whose weights or size nobody states */
export function vllmStart(model: Model, wishes: VllmWishes): VllmStart {
  const { weights, vllm = {} } = model;
  if (weights?.hub === undefined || weights.format !== "safetensors") {
    throw new CommandError(`The catalogue has no weights of ${model.id} that vLLM could load.`);
  }
  if (!["chat", "code", "vision", "embeddings"].includes(model.category)) {
    throw new CommandError(
      `vLLM serves chat, code, vision and embeddings; ${model.id} is of the category ${model.category}.`,
    );
  }
  const memoryBytes = vllm.memoryBytes ?? guessBytes(model);
  const all = wishes.gpus ?? gpusFor(memoryBytes, wishes.gpuBytes);
  const most = Math.min(GPUS_MAX, vllm.tensorParallel ?? GPUS_MAX);
  const gpus = Math.min(all, most);
  const machines = Math.ceil(all / gpus);
  return {
    model,
    repository: weights.hub,
    revision: weights.revision,
    gpus,
    machines,
    memoryBytes,
    memoryStated: vllm.memoryBytes !== undefined,
    version: vllm.version,
    port: wishes.port,
    args: argsOf(model, weights.hub, gpus, machines, wishes),
    env: {
      // Connections that the gateway keeps open must not be closed at the moment when it uses one again.
      VLLM_HTTP_TIMEOUT_KEEP_ALIVE: "75",
      ...(wishes.sleep ? { VLLM_SERVER_DEV_MODE: "1" } : {}),
    },
  };
}

function argsOf(model: Model, repository: string, gpus: number, machines: number, wishes: VllmWishes): string[] {
  const { contextTokens, vllm, weights, category } = model;
  return [
    repository,
    ...["--served-model-name", model.id],
    ...["--host", wishes.host, "--port", String(wishes.port)],
    ...(weights?.revision === undefined ? [] : ["--revision", weights.revision]),
    ...(gpus > 1 ? ["--tensor-parallel-size", String(gpus)] : []),
    ...(machines > 1 ? ["--pipeline-parallel-size", String(machines), "--distributed-executor-backend", "ray"] : []),
    ...(contextTokens === null ? [] : ["--max-model-len", String(contextTokens)]),
    // Without the first, a priority that is sent is an error; both are what the gateway's queue and affinity count on.
    ...(category === "embeddings" ? [] : ["--scheduling-policy", "priority", "--enable-prefix-caching"]),
    ...(wishes.sleep ? ["--enable-sleep-mode"] : []),
    ...(vllm?.args ?? []),
  ];
}

/** A power of two, for heads and expert layers must be cut evenly. */
function gpusFor(memoryBytes: number, gpuBytes: number): number {
  const least = memoryBytes / (gpuBytes * MEMORY_SHARE);
  return 2 ** Math.max(0, Math.ceil(Math.log2(least)));
}

/** @throws CommandError when nobody states how many parameters it has */
function guessBytes({ id, parameters, category }: Model): number {
  const [, number, unit] = /^([\d.]+)([TBM])/.exec(parameters ?? "") ?? [];
  if (number !== undefined) return Number(number) * UNITS[unit!]! * BYTES_PER_PARAMETER;
  // Some hundred million parameters, whichever it is.
  if (category === "embeddings") return 2e9;
  throw new CommandError(
    `The catalogue does not say how large ${id} is. Say on how many accelerators it runs with --gpus.`,
  );
}

const UNITS: Record<string, number> = { T: 1e12, B: 1e9, M: 1e6 };
