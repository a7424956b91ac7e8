// The oracle of our own endpoints: holds what the server sends on them to docs/openapi/oxbow.yaml, which is the promise.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import Ajv, { type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { parse } from "yaml";

interface Described {
  paths: Record<string, Record<string, { responses: Record<string, Answered> }>>;
  components: { responses: Record<string, Answered> };
}

interface Answered {
  $ref?: string;
  content?: Record<string, object>;
}

const FILE = join(import.meta.dir, "../../docs/openapi/oxbow.yaml");

export const described = parse(readFileSync(FILE, "utf8")) as Described;

const compiled = new Map<string, ValidateFunction>();
let ajv: Ajv | undefined;

/** @returns one line for each way in which an answer does not fit; none for paths that are not ours */
export function ownViolations(method: string, path: string, status: number, body: unknown): string[] {
  const answers = described.paths[path]?.[method.toLowerCase()]?.responses;
  if (!answers) return [];
  const code = String(status) in answers ? String(status) : "default";
  const answered = answers[code];
  if (!answered) return [`${path} is not described to answer with status ${status}`];
  const pointer = answered.$ref
    ? `${answered.$ref}/content/application~1json/schema`
    : `#/paths/${path.replaceAll("/", "~1")}/${method.toLowerCase()}/responses/${code}/content/application~1json/schema`;
  const validate = validatorOf(pointer);
  if (validate(body)) return [];
  return (validate.errors ?? []).map(
    (error) => `${error.instancePath} ${error.message} ${JSON.stringify(error.params)}`,
  );
}

/** For examples and requests. @param name of a schema of the description */
export function ownSchema(name: string): ValidateFunction {
  return validatorOf(`#/components/schemas/${name}`);
}

function validatorOf(pointer: string): ValidateFunction {
  let validate = compiled.get(pointer);
  if (!validate) {
    ajv ??= createAjv();
    validate = ajv.compile({ $ref: `oxbow${pointer}` });
    compiled.set(pointer, validate);
  }
  return validate;
}

function createAjv(): Ajv {
  const ajv = new Ajv({ strict: false, allErrors: true });
  addFormats(ajv);
  ajv.addSchema({ $id: "oxbow", ...described });
  return ajv;
}
