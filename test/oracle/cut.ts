// Cuts the schemas that the tests need out of OpenAI's API description: `bun test/oracle/cut.ts [openapi.yaml]` writes
// schemas.json, which is committed, because a bare clone does not have the description. What is changed on the way is
// said in README.md: prose is left out, `nullable` is rewritten for JSON Schema 2020-12.

import { join } from "node:path";
import { parse } from "yaml";

export type Schema = Record<string, unknown>;

/** The schemas that tests name; everything they refer to comes along. */
export const WANTED = [
  "CreateChatCompletionRequest",
  "CreateChatCompletionResponse",
  "CreateChatCompletionStreamResponse",
  "CreateCompletionRequest",
  "CreateCompletionResponse",
  "CreateEmbeddingRequest",
  "CreateEmbeddingResponse",
  "ErrorResponse",
  "ImagesResponse",
  "ImageGenStreamEvent",
  "ImageEditStreamEvent",
  "ListModelsResponse",
  "Model",
  "CreateResponse",
  "Response",
  "ResponseStreamEvent",
  "CreateTranscriptionRequest",
  "CreateTranscriptionResponseJson",
  "CreateTranscriptionResponseVerboseJson",
  "CreateTranslationResponseVerboseJson",
  "TranscriptTextDeltaEvent",
  "TranscriptTextDoneEvent",
  "CreateSpeechRequest",
  "SpeechAudioDeltaEvent",
  "SpeechAudioDoneEvent",
];

export const CUT_FILE = join(import.meta.dir, "schemas.json");
/** Where the description lies beside a developer's checkout. */
export const DESCRIPTION_FILE = join(import.meta.dir, "../../../shared/contract/openai-openapi.yaml");

/** @param yaml the text of the API description; @returns the wanted schemas and all that they refer to, by name */
export function cutSchemas(yaml: string): Record<string, Schema> {
  // The core schema keeps unquoted dates as strings.
  const all = (parse(yaml, { schema: "core" }) as { components: { schemas: Record<string, Schema> } }).components
    .schemas;
  const cut: Record<string, Schema> = {};
  const take = (name: string) => {
    if (cut[name]) return;
    const found = all[name];
    if (!found) throw new Error(`the description has no schema ${name}`);
    cut[name] = rewrite(found) as Schema;
    for (const [, other] of JSON.stringify(cut[name]).matchAll(/"#\/components\/schemas\/([^"]+)"/g)) take(other!);
  };
  for (const name of WANTED) take(name);
  return Object.fromEntries(Object.entries(cut).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Keywords that hold prose or tell generators something, never a validator. */
const PROSE = new Set(["description", "title", "example", "examples", "deprecated", "externalDocs", "discriminator"]);
/** Keywords whose members are names chosen by the schema, so that a property may be called `description`. */
const MAPS = new Set(["properties", "patternProperties", "$defs"]);

function rewrite(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(rewrite);
  if (typeof node !== "object" || node === null) return node;
  const schema: Schema = {};
  for (const [key, value] of Object.entries(node)) {
    if (PROSE.has(key) || key.startsWith("x-") || key === "nullable") continue;
    if (key === "default" || key === "enum" || key === "const") schema[key] = value;
    else if (MAPS.has(key)) schema[key] = mapValues(value as Schema, rewrite);
    else schema[key] = rewrite(value);
  }
  return (node as Schema).nullable === true ? orNull(schema) : schema;
}

/** `nullable: true` is OpenAPI 3.0; the description calls itself 3.1, where it means nothing. */
function orNull(schema: Schema): Schema {
  if (!schema.type || schema.anyOf || schema.oneOf || schema.allOf) return { anyOf: [schema, { type: "null" }] };
  const types = [schema.type].flat();
  return {
    ...schema,
    type: types.includes("null") ? types : [...types, "null"],
    ...(Array.isArray(schema.enum) ? { enum: [...schema.enum, null] } : {}),
  };
}

function mapValues(map: Schema, change: (value: unknown) => unknown): Schema {
  return Object.fromEntries(Object.entries(map).map(([name, value]) => [name, change(value)]));
}

if (import.meta.main) {
  const file = process.argv[2] ?? DESCRIPTION_FILE;
  const schemas = cutSchemas(await Bun.file(file).text());
  await Bun.write(CUT_FILE, `${JSON.stringify(schemas, null, 1)}\n`);
  console.error(`${Object.keys(schemas).length} schemas in ${CUT_FILE}`);
}
