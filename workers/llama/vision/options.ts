// What an operator may set for models that see beside slots and threads, in the `options` of data/engines.yaml.

import { UnusableModel } from "../unusable.ts";

export interface SeeingOptions {
  /** The encoder of images; null: the one file named *mmproj*.gguf beside the model. */
  mmproj: string | null;
  /** Layers on the graphics card. */
  gpuLayers: number;
  /** Tokens decoded in one step. */
  batchTokens: number;
  /** How long running requests may go on after SIGTERM. */
  drainMsMax: number;
}

/** @throws UnusableModel naming the option that is unknown or wrong */
export function readOptions(given: Record<string, unknown>): SeeingOptions {
  const options: SeeingOptions = { mmproj: null, gpuLayers: 0, batchTokens: 512, drainMsMax: 30_000 };
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(options, name)) {
      throw new UnusableModel(`has an unknown option ${name}; known are ${Object.keys(options).join(", ")}`);
    }
    const good =
      name === "mmproj" ? typeof value === "string" && value !== "" : Number.isSafeInteger(value) && Number(value) >= 0;
    if (!good) throw new UnusableModel(`has a wrong value of the option ${name}`);
    Object.assign(options, { [name]: value });
  }
  return options;
}
