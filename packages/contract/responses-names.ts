// A Responses request reaches an engine as a chat request. What engine and checks say about that one is said here in the
// words of the request that the caller wrote.

import { ApiError, type ErrorBody, RelayedError } from "./errors.ts";
import type { Asked } from "./support.ts";

/** Names of chat fields by their names in a Responses request; what is not here is called the same. */
const NAMES: [chat: RegExp, responses: string][] = [
  [/^max_completion_tokens$/, "max_output_tokens"],
  [/^response_format(\.json_schema)?/, "text.format"],
  [/^reasoning_effort$/, "reasoning.effort"],
  [/^verbosity$/, "text.verbosity"],
  [/^logprobs$/, "include"],
  [/^(tools\[\d+\])\.function\b/, "$1"],
];

const PART_TYPES: Record<string, string> = { "'image_url'": "'input_image'", "'file'": "'input_file'" };

/** Says in the caller's words what is said about the translation of his request. */
export function createRenaming(paths: string[]) {
  function param(name: string): string {
    const message = /^messages\.?\[(\d+)\](\.content\[\d+\])?(.*)$/.exec(name);
    if (message) {
      const [, index, part = "", rest] = message;
      const path = paths[Number(index)] ?? "input";
      // Parts of content are one to one; a picture's address lies one level deeper in chat.
      return (
        path + part + (part === "" ? "" : rest!.replace(/^\.image_url\.url$/, ".image_url").replace(/^\.file\b/, ""))
      );
    }
    if (name === "messages") return "input";
    for (const [chat, responses] of NAMES) if (chat.test(name)) return name.replace(chat, responses);
    return name;
  }

  const text = (message: string, from: string | null) =>
    from === null ? message : message.replaceAll(`'${from}'`, `'${param(from)}'`);

  function body({ error }: ErrorBody): ErrorBody {
    const { message, type, param: from, code } = error;
    const said = code === "context_length_exceeded" ? TOO_LONG : text(message, from);
    return { error: { message: said, type, param: from === null ? null : param(from), code } };
  }

  return {
    body,
    asked: (asked: Asked): Asked => ({
      param: param(asked.param),
      ...(asked.value === undefined ? {} : { value: PART_TYPES[asked.value] ?? asked.value }),
    }),
    /** The same error, about the request that the caller wrote; what is about no field comes back as it is. */
    error(error: unknown): unknown {
      if (error instanceof RelayedError) return new RelayedError(error.status, body(error.body), error.headers);
      if (!(error instanceof ApiError) || error.param === null) return error;
      const { row, message, retryAfterMs, headers, cause } = error;
      return new ApiError(row, text(message, error.param), { param: param(error.param), retryAfterMs, headers, cause });
    },
  };
}

const TOO_LONG = "Your input exceeds the context window of this model. Please adjust your input and try again.";
