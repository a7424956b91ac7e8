// How the answers of a path look where they are not chat's: which event ends a stream, and whether bytes may come that are
// neither JSON nor events. One row for each path; paths without a row answer as chat does.

export interface AnswerForm {
  /** Types of the events that finish one answer each. Null: a `finish_reason` does, and `[DONE]` ends the stream. */
  finishers: readonly string[] | null;
  /**
   * What an answer may be that is neither JSON nor events: nothing; `whole`, a text that is handed over at once; or
   * `stream`, bytes that are handed on as they come.
   */
  bytes: "none" | "whole" | "stream";
}

const CHAT: AnswerForm = { finishers: null, bytes: "none" };

/** Source: openai-openapi 2.3.0, the `…StreamEvent` schemas and the binary answers, read 2026-11-21. */
const FORMS: Readonly<Record<string, AnswerForm>> = {
  "/v1/audio/transcriptions": { finishers: ["transcript.text.done"], bytes: "whole" },
  "/v1/audio/translations": { finishers: ["transcript.text.done"], bytes: "whole" },
  "/v1/audio/speech": { finishers: ["speech.audio.done"], bytes: "stream" },
  "/v1/images/generations": { finishers: ["image_generation.completed"], bytes: "none" },
  "/v1/images/edits": { finishers: ["image_edit.completed"], bytes: "none" },
};

/** @param path as clients call it */
export function answerFormOf(path: string): AnswerForm {
  return Object.hasOwn(FORMS, path) ? FORMS[path]! : CHAT;
}
