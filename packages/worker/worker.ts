// What every program that hosts one model has in common: how the process starts, what ends it, what it says last, and how
// its options are read. What it answers is its own affair. Protocol: packages/contract/worker.ts.

export * from "./options.ts";
export * from "./program.ts";
export * from "./unusable.ts";
