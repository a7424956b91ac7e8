// How a command ends: the exit codes (docs/cli.md), and what is said about an error.

export const EXIT = {
  ok: 0,
  /** It was refused, or it failed. */
  failed: 1,
  /** The command line itself is wrong. */
  usage: 2,
  /** No server answers at the address. */
  unreachable: 3,
  /** Ctrl-C: as shells have it, 128 and the number of the signal. */
  interrupted: 130,
} as const;

/** An error of the command itself: one line that says what to do. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  readonly exitCode: number;

  constructor(message: string, exitCode: number = EXIT.failed) {
    super(message);
    this.exitCode = exitCode;
  }
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof Error && "problem" in error && error.problem === "unreachable") return EXIT.unreachable;
  return error instanceof CommandError ? error.exitCode : EXIT.failed;
}

/** Errors whose message is a line for the operator. By name, so that help needs none of the rooms that throw them. */
const FOR_OPERATORS = new Set([
  "CommandError",
  "ConfigError",
  "HomeError",
  "StartError",
  "AccountsError",
  "WeightsError",
]);

/** For anything else, all there is: it is a bug, and someone will have to find it. */
export function lineOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return FOR_OPERATORS.has(error.name) ? error.message : (error.stack ?? error.message);
}
