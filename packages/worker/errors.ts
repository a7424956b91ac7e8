// Errors of a worker: what the caller sees of what was thrown, the refusals that every worker knows, and the one error that
// means: this model will never be served, however often one tries.

import { ApiError, errorBody, modelNotFound, retryHeaders, type WorkerModel } from "@oxbow/contract";

/** One line to standard error, where the fleet reads it. */
export type Log = (line: string) => void;

/** Why a model can never be loaded: the rest of a sentence that begins with its name, for the operator. */
export class UnusableModel extends Error {
  override readonly name = "UnusableModel";
}

/** Anything thrown, as what the client sees. What is not for clients goes to `log`. */
export function errorOf(thrown: unknown, log: Log): ApiError {
  if (thrown instanceof ApiError) {
    if (thrown.cause !== undefined) log(`${thrown.row}: ${String(thrown.cause)}`);
    return thrown;
  }
  log(`unexpected: ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}`);
  return new ApiError("internal_error", "The worker failed while it processed your request. Please try again.");
}

export function errorResponse(error: ApiError): Response {
  return Response.json(errorBody(error), { status: error.kind.status, headers: retryHeaders(error) });
}

/** @throws ApiError `model_not_found` */
export function refuseOtherModels(model: WorkerModel, asked: string): void {
  if (asked !== model.id && !model.aliases.includes(asked)) throw modelNotFound(asked);
}
