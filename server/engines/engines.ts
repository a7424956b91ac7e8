// How calls reach an engine, and how its answers are read: one way for every kind.
export type * from "./answer.ts";
export * from "./engine.ts";
export * from "./probe.ts";
export { EngineStatus } from "./refusals.ts";
export * from "./relay.ts";
export * from "./remote.ts";
export type * from "./send-options.ts";
