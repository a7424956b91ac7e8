// Refusals that gateway and workers say in the same words. What the caller wrote is quoted up to a bound.

import { ApiError } from "./errors.ts";

const QUOTED_LENGTH_MAX = 128;

/** @param hint a sentence more, with a blank before it */
export function modelNotFound(name: string, hint = ""): ApiError {
  const shown = name.slice(0, QUOTED_LENGTH_MAX);
  const text = `The model \`${shown}\` does not exist or you do not have access to it.${hint}`;
  return new ApiError("model_not_found", text);
}

export function unknownUrl(method: string, path: string): ApiError {
  return new ApiError("unknown_url", `Invalid URL (${method} ${path.slice(0, QUOTED_LENGTH_MAX)})`);
}
