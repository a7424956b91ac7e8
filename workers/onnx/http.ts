// What all routes of the worker share: errors as the envelope.

import { ApiError, errorBody, retryHeaders, type WorkerModel } from "@oxbow/contract";

/** Anything thrown, as what the client sees. What is not for clients goes to `log`. */
export function errorOf(thrown: unknown, log: (line: string) => void): ApiError {
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
  if (asked === model.id || model.aliases.includes(asked)) return;
  const text = `The model \`${asked.slice(0, 128)}\` does not exist or you do not have access to it.`;
  throw new ApiError("model_not_found", text);
}
