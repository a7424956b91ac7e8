// The way from noise to an image: at which points of the noising process the model is asked, and how its answer moves the
// image on. Euler's method fits every model that was trained to see noise or velocity; models that were distilled for few
// steps (LCM) have a rule of their own.
// Source: Karras et al. (2022), algorithm 2 without churn; Luo et al., Latent Consistency Models (2023), and the numbers that
// model repositories write into scheduler_config.json, as the diffusers library reads them (0.35, read 2026-11-21).

import { UnusableModel } from "@oxbow/worker";

export interface Schedule {
  /** What the model is told at each step. */
  timesteps: number[];
  /** Noise of the deviation 1 is multiplied by this, to begin with. */
  startScale: number;
  /** What the model sees at step `at`. */
  scale(image: Float32Array, at: number): Float32Array;
  /**
   * Moves `image` on. @param said the model's answer for what `scale` gave @param noise fresh, for rules that add some
   */
  step(image: Float32Array, said: Float32Array, at: number, noise: () => Float32Array): Float32Array;
  /** What the image will be, by what the model says at step `at`: for a look on the way. */
  guess(image: Float32Array, said: Float32Array, at: number): Float32Array;
  /** `clean` as it would be before step `at`; at the end of the steps it is itself. */
  noised(clean: Float32Array, noise: Float32Array, at: number): Float32Array;
}

export interface SchedulerConfig {
  kind: "euler" | "lcm";
  /** Cumulated: how much of the image is left at each point. */
  alphas: Float64Array;
  prediction: "epsilon" | "v_prediction";
  spacing: "leading" | "trailing" | "linspace";
  offset: number;
  /** Of a distilled model: the steps it learnt to jump over. */
  originalSteps: number;
  timestepScaling: number;
}

/** @throws UnusableModel for what no rule here fits */
export function readScheduler(config: Record<string, unknown>): SchedulerConfig {
  const number = (name: string, otherwise: number) => (typeof config[name] === "number" ? config[name] : otherwise);
  const text = (name: string, otherwise: string) => (typeof config[name] === "string" ? config[name] : otherwise);
  const name = text("_class_name", "EulerDiscreteScheduler");
  if (/Flow/.test(name))
    throw new UnusableModel(`has a ${name.slice(0, 40)}: models of flow matching are not hosted here`);
  const prediction = text("prediction_type", "epsilon");
  if (prediction !== "epsilon" && prediction !== "v_prediction")
    throw new UnusableModel(`predicts ${prediction.slice(0, 40)}: only epsilon and v_prediction are known`);
  const spacing = text("timestep_spacing", "leading");
  if (spacing !== "leading" && spacing !== "trailing" && spacing !== "linspace")
    throw new UnusableModel(`spaces its steps by ${spacing.slice(0, 40)}: leading, trailing and linspace are known`);
  const [count, start, end] = [
    number("num_train_timesteps", 1000),
    number("beta_start", 1e-4),
    number("beta_end", 0.02),
  ];
  return {
    kind: name.startsWith("LCM") ? "lcm" : "euler",
    alphas: alphasOf(text("beta_schedule", "linear"), count, start, end),
    prediction,
    spacing,
    offset: number("steps_offset", 0),
    originalSteps: number("original_inference_steps", 50),
    timestepScaling: number("timestep_scaling", 10),
  };
}

function alphasOf(kind: string, count: number, start: number, end: number): Float64Array {
  if (kind !== "linear" && kind !== "scaled_linear")
    throw new UnusableModel(`has the noise schedule ${kind.slice(0, 40)}: linear and scaled_linear are known`);
  const root = kind === "scaled_linear";
  const [from, to] = root ? [Math.sqrt(start), Math.sqrt(end)] : [start, end];
  const alphas = new Float64Array(count);
  let product = 1;
  for (let at = 0; at < count; at++) {
    const each = from + ((to - from) * at) / (count - 1);
    product *= 1 - (root ? each * each : each);
    alphas[at] = product;
  }
  return alphas;
}

/** @param steps 1 to 1000 */
export function createSchedule(config: SchedulerConfig, steps: number): Schedule {
  return config.kind === "lcm" ? lcm(config, steps) : euler(config, steps);
}

function euler(config: SchedulerConfig, steps: number): Schedule {
  const { alphas, prediction, spacing } = config;
  const timesteps = timestepsOf(config, steps);
  const deviations = alphas.map((alpha) => Math.sqrt((1 - alpha) / alpha));
  const sigmas = [...timesteps.map((timestep) => between(deviations, timestep)), 0];
  const most = sigmas[0]!;

  function guess(image: Float32Array, said: Float32Array, at: number): Float32Array {
    const sigma = sigmas[at]!;
    if (prediction === "epsilon") return sum(image, 1, said, -sigma);
    const square = sigma * sigma + 1;
    return sum(image, 1 / square, said, -sigma / Math.sqrt(square));
  }

  return {
    timesteps,
    startScale: spacing === "leading" ? Math.sqrt(most * most + 1) : most,
    scale: (image, at) => sum(image, 1 / Math.sqrt(sigmas[at]! ** 2 + 1), image, 0),
    step: (image, said, at) => {
      // The slope is what lies between the image and the guess, for each unit of noise.
      const share = sigmas[at + 1]! / sigmas[at]! - 1;
      return sum(image, 1 + share, guess(image, said, at), -share);
    },
    guess,
    noised: (clean, noise, at) => sum(clean, 1, noise, sigmas[at]!),
  };
}

/** `a` times `by`, and `b` times `and`. A loop: with a callback for each number it took five times as long (2026-11-21). */
function sum(a: Float32Array, by: number, b: Float32Array, and: number): Float32Array {
  const out = new Float32Array(a.length);
  for (let at = 0; at < out.length; at++) out[at] = by * a[at]! + and * b[at]!;
  return out;
}

function timestepsOf({ alphas, spacing, offset }: SchedulerConfig, steps: number): number[] {
  const count = alphas.length;
  const each = (make: (at: number) => number) => Array.from({ length: steps }, (_, at) => make(at));
  switch (spacing) {
    case "leading": {
      const stride = Math.floor(count / steps);
      return each((at) => (steps - 1 - at) * stride + offset);
    }
    case "trailing":
      return each((at) => Math.round(count - (at * count) / steps) - 1);
    case "linspace":
      return each((at) => (steps === 1 ? 0 : ((count - 1) * (steps - 1 - at)) / (steps - 1)));
  }
}

/** The value at a point between two. */
function between(values: Float64Array, at: number): number {
  const low = Math.min(Math.floor(at), values.length - 1);
  const high = Math.min(low + 1, values.length - 1);
  return values[low]! + (values[high]! - values[low]!) * (at - low);
}

/** How sharp the data is taken to be, in the rule of consistency models. */
const SIGMA_DATA = 0.5;

function lcm(config: SchedulerConfig, steps: number): Schedule {
  const { alphas, originalSteps, timestepScaling, prediction } = config;
  const stride = Math.floor(alphas.length / originalSteps);
  const learnt = Array.from({ length: originalSteps }, (_, at) => (originalSteps - at) * stride - 1);
  const count = Math.min(steps, originalSteps);
  const timesteps = Array.from({ length: count }, (_, at) => learnt[Math.floor((at * originalSteps) / count)]!);

  function guess(image: Float32Array, said: Float32Array, at: number): Float32Array {
    const alpha = alphas[timesteps[at]!]!;
    const [kept, noise] = [Math.sqrt(alpha), Math.sqrt(1 - alpha)];
    if (prediction === "epsilon") return sum(image, 1 / kept, said, -noise / kept);
    return sum(image, kept, said, -noise);
  }

  return {
    timesteps,
    startScale: 1,
    scale: (image) => image,
    step(image, said, at, noise) {
      const clean = guess(image, said, at);
      const scaled = timesteps[at]! * timestepScaling;
      const square = scaled * scaled + SIGMA_DATA * SIGMA_DATA;
      const [skip, out] = [(SIGMA_DATA * SIGMA_DATA) / square, scaled / Math.sqrt(square)];
      const better = sum(clean, out, image, skip);
      if (at + 1 === count) return better;
      const alpha = alphas[timesteps[at + 1]!]!;
      const [kept, added] = [Math.sqrt(alpha), Math.sqrt(1 - alpha)];
      return sum(better, kept, noise(), added);
    },
    guess,
    noised(clean, noise, at) {
      if (at >= count) return clean;
      const alpha = alphas[timesteps[at]!]!;
      const [kept, added] = [Math.sqrt(alpha), Math.sqrt(1 - alpha)];
      return sum(clean, kept, noise, added);
    },
  };
}
