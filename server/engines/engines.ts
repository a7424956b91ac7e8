// How calls reach an engine: one way to send, for every kind.
export * from "./engine.ts";
