// The wire: shapes of requests, answers, chunks and errors; reading and writing server-sent events. Knows no room.
export * from "./chat.ts";
export * from "./chat-answer.ts";
export * from "./completions.ts";
export * from "./errors.ts";
export * from "./ids.ts";
export * from "./json.ts";
export * from "./models.ts";
export * from "./outcomes.ts";
export * from "./prompt-size.ts";
export * from "./sse.ts";
export * from "./support.ts";
export * from "./usage.ts";
export * from "./validate.ts";
export * from "./worker.ts";
