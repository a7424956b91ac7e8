// What every program that hosts one model has in common: how the process starts, what ends it, what it says last, how its
// options are read, and its HTTP side. What a model answers is the program's own affair. Protocol: packages/contract/worker.ts.

export * from "./errors.ts";
export type { Sample } from "./metrics.ts";
export * from "./options.ts";
export * from "./program.ts";
export * from "./server.ts";
