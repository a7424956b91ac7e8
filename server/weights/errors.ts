// What can go wrong with weights, each as one line for the operator that says what to do.

export type WeightsProblem =
  /** No such model, repository, revision or file; or a name that means more than one thing. */
  | "unknown"
  /** The hub refuses: a licence to accept, a token to set. */
  | "refused"
  /** The hub does not answer, or breaks off again and again. */
  | "unreachable"
  /** The hub said something that must not be believed. */
  | "unsafe"
  | "disk_full"
  /** The bytes are not those that the hub announces. */
  | "checksum"
  /** The files on disk do not let us. */
  | "cache";

export class WeightsError extends Error {
  override readonly name = "WeightsError";
  readonly problem: WeightsProblem;

  constructor(problem: WeightsProblem, message: string, options?: ErrorOptions) {
    super(message, options);
    this.problem = problem;
  }
}

/** What the system says about a file, in words; what is no such error is returned as it is. */
export function asDiskError(cause: unknown, path: string): unknown {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  if (code === "ENOSPC" || code === "EDQUOT" || code === "EFBIG") {
    const text = `The disk is full (${path}). What has arrived is kept: free some space and give the same command again.`;
    return new WeightsError("disk_full", text, { cause });
  }
  if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
    return new WeightsError(
      "cache",
      `${path} cannot be written to (${code}). HF_HOME or HF_HUB_CACHE names another folder.`,
      { cause },
    );
  }
  return cause;
}
