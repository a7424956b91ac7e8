// Reads what an operator sets for one kind of worker in the `options` of data/engines.yaml: every option is known and
// right, or the model is not started.

/** What an option may be. */
export interface Check {
  holds(value: unknown): boolean;
  /** The rest of a sentence that begins with "must be". */
  text: string;
}

export const among = (...values: unknown[]): Check => ({
  holds: (value) => values.includes(value),
  text: `one of ${values.join(", ")}`,
});

/** Both ends included. */
export const within = (least: number, most: number): Check => ({
  holds: (value) => Number.isInteger(value) && (value as number) >= least && (value as number) <= most,
  text: `a whole number from ${least} to ${most}`,
});

export const either = (a: Check, b: Check): Check => ({
  holds: (value) => a.holds(value) || b.holds(value),
  text: `${a.text} or ${b.text}`,
});

export const text: Check = {
  holds: (value) => typeof value === "string" && value !== "",
  text: "a text",
};

/**
 * `defaults`, with what was given in their place.
 * @throws Error naming the option that is unknown or wrong
 */
export function readOptions<O extends object>(
  given: Record<string, unknown>,
  defaults: O,
  checks: Record<keyof O & string, Check>,
): O {
  const options = { ...defaults };
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(checks, name)) {
      throw new Error(`option ${name} is unknown; known are ${Object.keys(checks).join(", ")}`);
    }
    const check = checks[name as keyof O & string];
    if (!check.holds(value)) throw new Error(`option ${name} must be ${check.text}`);
    Object.assign(options, { [name]: value });
  }
  return options;
}
