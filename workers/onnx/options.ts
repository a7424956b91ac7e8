// What an operator may set for this kind of worker beside slots and threads, in the `options` of data/engines.yaml.

export interface OnnxOptions {
  /** Which of the model's files is loaded: their precision. */
  dtype: Dtype;
  /** Tokens, padding included, that are computed in one run. More is faster until the cores are busy, and holds up others. */
  batchTokens: number;
  /** Inputs that may wait inside the worker. */
  waitingMax: number;
  /** How long running requests may go on after SIGTERM. */
  drainMsMax: number;
}

const DTYPES = ["fp32", "fp16", "q8", "q4"] as const;
export type Dtype = (typeof DTYPES)[number];

/** @throws Error naming the option that is unknown or wrong */
export function readOptions(given: Record<string, unknown>): OnnxOptions {
  const options: OnnxOptions = { dtype: "fp32", batchTokens: 1024, waitingMax: 65_536, drainMsMax: 30_000 };
  for (const [name, value] of Object.entries(given)) {
    const check = CHECKS[name as keyof OnnxOptions];
    if (!check) throw new Error(`option ${name} is unknown; known are ${Object.keys(CHECKS).join(", ")}`);
    if (!check.holds(value)) throw new Error(`option ${name} must be ${check.text}`);
    Object.assign(options, { [name]: value });
  }
  return options;
}

interface Check {
  holds(value: unknown): boolean;
  text: string;
}

const among = (values: readonly unknown[]): Check => ({
  holds: (value) => values.includes(value),
  text: `one of ${values.join(", ")}`,
});
const within = (least: number, most: number): Check => ({
  holds: (value) => Number.isInteger(value) && (value as number) >= least && (value as number) <= most,
  text: `a whole number from ${least} to ${most}`,
});

const CHECKS: Record<keyof OnnxOptions, Check> = {
  dtype: among(DTYPES),
  batchTokens: within(1, 1 << 20),
  waitingMax: within(1, 1 << 20),
  drainMsMax: within(0, 86_400_000),
};
