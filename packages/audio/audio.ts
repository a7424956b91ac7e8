// Sound as bytes: recordings opened, measured and decoded, speech encoded. Knows the formats of the wire and no model.
export * from "./decode.ts";
export * from "./encode.ts";
export * from "./measure.ts";
export * from "./recording.ts";
export * from "./sound.ts";
