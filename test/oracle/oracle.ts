// The oracle: holds what our server sends to OpenAI's published schemas, with the places where the live API is known to
// differ from them put right (README.md lists those). It knows shapes only; framing, order and headers are rules.ts's.

import Ajv, { type ErrorObject, type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import type { Schema } from "./cut.ts";
import published from "./schemas.json";

/** The published names, and one of ours: a chunk of /completions, for which OpenAI publishes no schema of its own. */
export type SchemaName = keyof typeof published | "CreateCompletionStreamResponse";

const compiled = new Map<SchemaName, ValidateFunction>();
let ajv: Ajv | undefined;

/** @returns one line for each way in which `value` does not fit, none when it does */
export function violationsOf(name: SchemaName, value: unknown): string[] {
  let validate = compiled.get(name);
  if (!validate) {
    ajv ??= createAjv();
    validate = ajv.compile({ $ref: `openai#/components/schemas/${name}` });
    compiled.set(name, validate);
  }
  return validate(value) ? [] : (validate.errors ?? []).map((error) => `${name}${lineOf(error)}`);
}

/** @throws Error that lists every violation and shows the value */
export function assertValid(name: SchemaName, value: unknown): void {
  const found = violationsOf(name, value);
  if (found.length > 0) throw new Error(`${found.join("\n")}\nin ${JSON.stringify(value).slice(0, 2_000)}`);
}

const AUDIO_EVENTS = [
  "TranscriptTextDeltaEvent",
  "TranscriptTextDoneEvent",
  "SpeechAudioDeltaEvent",
  "SpeechAudioDoneEvent",
] as const;

/** The schema of the one event of the Responses API, or of audio, that has this type: the one to hold it to. */
export function eventSchemaOf(type: string): SchemaName | undefined {
  const inUnion = published.ResponseStreamEvent.anyOf.map(
    ({ $ref }) => $ref.split("/").at(-1) as keyof typeof published,
  );
  const names = [...inUnion, ...AUDIO_EVENTS];
  return names.find((name) => (published[name] as unknown as Node).properties?.type?.enum?.includes(type));
}

function lineOf({ instancePath, message, params }: ErrorObject): string {
  return `${instancePath} ${message} ${JSON.stringify(params)}`;
}

function createAjv(): Ajv {
  const ajv = new Ajv({ strict: false, allErrors: true });
  addFormats(ajv);
  ajv.addFormat("unixtime", { type: "number", validate: Number.isInteger });
  ajv.addSchema({ $id: "openai", components: { schemas: withErrata() } });
  return ajv;
}

/** Where the live API, as recorded, differs from what is published. */
function withErrata(): Record<string, Schema> {
  const schemas = structuredClone(published) as unknown as Record<string, Node>;
  const whole = schemas.CreateChatCompletionResponse!;
  const chunk = schemas.CreateChatCompletionStreamResponse!;
  // Null on many models.
  whole.properties!.system_fingerprint!.type = ["string", "null"];
  chunk.properties!.system_fingerprint!.type = ["string", "null"];
  // Absent when not asked for.
  const choice = whole.properties!.choices!.items!;
  choice.required = choice.required!.filter((key) => key !== "logprobs");

  // With `echo` nothing stands before the first token that it could follow from.
  const logprobs = schemas.CreateCompletionResponse!.properties!.choices!.items!.properties!.logprobs!.anyOf![0]!;
  for (const key of ["token_logprobs", "top_logprobs"]) {
    const { items } = logprobs.properties![key]!;
    logprobs.properties![key] = { type: "array", prefixItems: [{ anyOf: [items!, { type: "null" }] }], items: items! };
  }

  // Base64 when it was asked for.
  const vector = schemas.Embedding!.properties!;
  vector.embedding = { anyOf: [vector.embedding!, { type: "string" }] };

  // Null until the response has ended.
  const usage = schemas.Response!.allOf!.find((part) => part.properties?.usage)!.properties!;
  usage.usage = { anyOf: [usage.usage!, { type: "null" }] };

  // Models of others paint in other sizes.
  const events = ["GenPartialImage", "GenCompleted", "EditPartialImage", "EditCompleted"].map(
    (name) => `Image${name}Event`,
  );
  for (const name of ["ImagesResponse", ...events]) schemas[name]!.properties!.size = { type: "string" };

  const completionChunk = structuredClone(schemas.CreateCompletionResponse!);
  const finish = completionChunk.properties!.choices!.items!.properties!.finish_reason!;
  finish.type = ["string", "null"];
  finish.enum = [...finish.enum!, null];
  completionChunk.properties!.usage = { anyOf: [completionChunk.properties!.usage!, { type: "null" }] };
  schemas.CreateCompletionStreamResponse = completionChunk;
  return schemas as unknown as Record<string, Schema>;
}

/** A schema, as far as the errata reach into it. */
interface Node {
  type?: string | string[];
  enum?: unknown[];
  required?: string[];
  properties?: Record<string, Node>;
  items?: Node;
  prefixItems?: Node[];
  anyOf?: Node[];
  allOf?: Node[];
}
