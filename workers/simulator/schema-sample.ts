// Makes up a value for a JSON schema (2020-12 and what earlier drafts spelt differently). Building follows the keywords
// that say what is there; a validator then has the last word, and a value it refuses is made up again.

import { Check } from "typebox/schema";
import { sampleFormat } from "./format-sample.ts";
import { samplePattern } from "./pattern-sample.ts";
import type { Random } from "./random.ts";
import { asObject, guessType, type JsonSchema, lookUp, mergeSchemas, type Schema, weightOf } from "./schema.ts";
import { writeWords } from "./text.ts";

export interface SampleOptions {
  random: Random;
  /** Optional properties: all of them, or only those that `suggest` has a value for. */
  extent: "all" | "needed";
  /** A value to try for a place, by its key; one that the schema refuses is not used. */
  suggest(key: string, schema: JsonSchema): unknown;
}

/** A value that `schema` accepts, or undefined when none was found: it allows none, or is beyond this generator. */
export function sampleSchema(schema: Schema, options: SampleOptions): unknown {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    try {
      const value = createSampler(schema, options, attempt)(schema, "", 0);
      if (accepts(schema, value)) return value;
    } catch (error) {
      // The validator throws for a pattern that is none, and runs out of stack on a schema that is only itself again.
      const isKnown = error instanceof NoValue || error instanceof SyntaxError || error instanceof RangeError;
      if (!isKnown) throw error;
    }
  }
  return undefined;
}

const ATTEMPTS = 24;
/** Deeper than this, only what is required is there; much deeper, nothing helps: the schema requires itself. */
const DEPTH_FULL = 4;
const DEPTH_MAX = 40;
/** A schema may ask for a million items; an answer has no room for them. */
const VALUES_MAX = 10_000;
const CHARACTERS_MAX = 20_000;

class NoValue extends Error {}

function accepts(schema: Schema, value: unknown): boolean {
  return Check(schema as Parameters<typeof Check>[0], value);
}

function createSampler(root: Schema, { random, extent, suggest }: SampleOptions, attempt: number) {
  let values = 0;

  function sample(given: Schema, key: string, depth: number): unknown {
    if (given === false || depth > DEPTH_MAX || ++values > VALUES_MAX) throw new NoValue();
    if (given === true) return writeWords(1, random);
    const schema = resolve(given, depth);
    if (schema.const !== undefined) return schema.const;
    const idea = suggest(key, schema);
    if (idea !== undefined && acceptsHere(schema, idea)) return idea;
    if (schema.enum) return pickEnum(schema);
    if (schema.default !== undefined && attempt === 0 && acceptsHere(schema, schema.default)) return schema.default;
    switch (pickType(schema, depth)) {
      case "object":
        return sampleObject(schema, depth);
      case "array":
        return sampleArray(schema, key, depth);
      case "integer":
        return sampleNumber(schema, true);
      case "number":
        return sampleNumber(schema, false);
      case "boolean":
        return random.below(2) === 0;
      case "null":
        return null;
      default:
        return sampleString(schema);
    }
  }

  /** The root goes along, for the references that the part holds. */
  function acceptsHere(schema: JsonSchema, value: unknown): boolean {
    const defs = typeof root === "object" ? (root as Record<string, unknown>) : {};
    return accepts({ $defs: defs.$defs, definitions: defs.definitions, ...schema } as JsonSchema, value);
  }

  /** One schema without references and alternatives: a branch is chosen, and all that holds is merged. */
  function resolve(schema: JsonSchema, depth: number, hops = 0): JsonSchema {
    if (hops > DEPTH_MAX) throw new NoValue();
    const { $ref, allOf, anyOf, oneOf, if: condition, then: met, else: unmet, ...rest } = schema;
    let merged: JsonSchema = rest;
    const add = (part: Schema) => {
      if (part === false) throw new NoValue();
      if (part !== true) merged = mergeSchemas(merged, resolve(part, depth, hops + 1));
    };
    if ($ref !== undefined) add(lookUp(root, $ref) ?? false);
    for (const part of allOf ?? []) add(part);
    for (const branches of [anyOf, oneOf]) if (branches) add(pickBranch(branches, depth));
    if (condition !== undefined) {
      const isMet = random.below(2) === 0;
      if (isMet) add(condition);
      if (isMet ? met : unmet) add((isMet ? met : unmet)!);
    }
    return merged;
  }

  /** The first branches are what authors mean first; deep down, the one that ends soonest. */
  function pickBranch(branches: Schema[], depth: number): Schema {
    if (depth > DEPTH_FULL) return branches.toSorted((a, b) => weightOf(a) - weightOf(b))[attempt % branches.length]!;
    const values = branches.filter((branch) => typeof branch !== "object" || branch.type !== "null");
    return attempt === 0 && values[0] !== undefined ? values[0] : random.pick(branches);
  }

  function pickEnum(schema: JsonSchema): unknown {
    const fitting = schema.enum!.filter((value) => acceptsHere(schema, value));
    if (fitting.length === 0) throw new NoValue();
    return random.pick(fitting);
  }

  function pickType(schema: JsonSchema, depth: number): string {
    const types = typeof schema.type === "string" ? [schema.type] : (schema.type ?? [guessType(schema)]);
    if (types.length === 0) throw new NoValue();
    if (depth > DEPTH_FULL && types.includes("null")) return "null";
    const values = types.filter((type) => type !== "null");
    return attempt === 0 ? (values[0] ?? "null") : random.pick(types);
  }

  function sampleObject(schema: JsonSchema, depth: number): Record<string, unknown> {
    const { properties = {}, required = [], minProperties = 0 } = schema;
    const keys = new Set(required);
    for (const [key, property] of Object.entries(properties)) if (isWanted(key, property, depth)) keys.add(key);
    for (const key of [...keys]) for (const other of schema.dependentRequired?.[key] ?? []) keys.add(other);
    for (const key of Object.keys(properties))
      if (keys.size < minProperties && properties[key] !== false) keys.add(key);
    if (minProperties > VALUES_MAX) throw new NoValue();
    while (keys.size < minProperties) keys.add(spareKey(schema, depth));
    // An array of pairs and not an object: a property may be called `__proto__`.
    const entries: [string, unknown][] = [];
    for (const key of keys) entries.push([key, sample(schemaOfKey(schema, key), key, depth + 1)]);
    return Object.fromEntries(entries.slice(0, schema.maxProperties ?? entries.length));
  }

  function isWanted(key: string, property: Schema, depth: number): boolean {
    if (property === false) return false;
    if (extent === "all") return depth < DEPTH_FULL;
    if (property === true) return false;
    const resolved = resolve(property, depth);
    // An optional string would take any name in the text; only a choice or a format is sure to mean it.
    return (resolved.enum !== undefined || resolved.format !== undefined) && suggest(key, resolved) !== undefined;
  }

  function schemaOfKey(schema: JsonSchema, key: string): Schema {
    const parts: Schema[] = [];
    const own = schema.properties?.[key];
    if (own !== undefined) parts.push(own);
    for (const [pattern, part] of Object.entries(schema.patternProperties ?? {})) {
      if (new RegExp(pattern, "u").test(key)) parts.push(part);
    }
    if (parts.length === 0) return schema.additionalProperties ?? true;
    return parts.length === 1 ? parts[0]! : { allOf: parts };
  }

  function spareKey(schema: JsonSchema, depth: number): string {
    const patterns = Object.keys(schema.patternProperties ?? {});
    if (schema.propertyNames)
      return String(sample(mergeSchemas({ type: "string" }, asObject(schema.propertyNames)), "", depth + 1));
    if (patterns.length > 0) return samplePattern(random.pick(patterns), random) ?? writeWords(1, random);
    if (++values > VALUES_MAX) throw new NoValue();
    return `${writeWords(1, random)}${random.below(1000)}`;
  }

  function sampleArray(schema: JsonSchema, key: string, depth: number): unknown[] {
    const prefix = schema.prefixItems ?? (Array.isArray(schema.items) ? schema.items : []);
    const item = Array.isArray(schema.items) ? true : (schema.items ?? true);
    const { minItems = 0, maxItems = Number.POSITIVE_INFINITY } = schema;
    const usual =
      depth > DEPTH_FULL ? 0 : prefix.length + (item === false || prefix.length > 0 ? 0 : 1 + random.below(3));
    const count = Math.min(Math.max(minItems, usual, schema.contains === undefined ? 0 : 1), maxItems);
    if (count > VALUES_MAX) throw new NoValue();
    const list: unknown[] = [];
    const seen = new Set<string>();
    for (let tries = 0; list.length < count && tries < count * 20 + 20; tries++) {
      const isContained = schema.contains !== undefined && list.length === prefix.length;
      const part = isContained ? { allOf: [item, schema.contains!] } : (prefix[list.length] ?? item);
      const value = sample(part, key, depth + 1);
      const text = JSON.stringify(value);
      if (schema.uniqueItems && seen.has(text)) continue;
      seen.add(text);
      list.push(value);
    }
    return list;
  }

  function sampleString(schema: JsonSchema): string {
    const { minLength = 0, maxLength = CHARACTERS_MAX } = schema;
    if (minLength > CHARACTERS_MAX) throw new NoValue();
    if (schema.pattern !== undefined) {
      for (let tries = 0; tries < 20; tries++) {
        const text = samplePattern(schema.pattern, random, minLength);
        if (text === null) throw new NoValue();
        if (text.length >= minLength && text.length <= maxLength) return text;
      }
      throw new NoValue();
    }
    const formatted = schema.format === undefined ? null : sampleFormat(schema.format, random);
    if (formatted !== null) return formatted;
    let text = writeWords(1 + random.below(3), random);
    while (text.length < minLength) text += ` ${writeWords(8, random)}`;
    const most = Math.max(minLength, Math.min(maxLength, text.length));
    return text.length > maxLength ? text.slice(0, maxLength) : text.slice(0, most);
  }

  function sampleNumber(schema: JsonSchema, integer: boolean): number {
    let low = Math.max(schema.minimum ?? Number.NEGATIVE_INFINITY, schema.exclusiveMinimum ?? Number.NEGATIVE_INFINITY);
    let high = Math.min(
      schema.maximum ?? Number.POSITIVE_INFINITY,
      schema.exclusiveMaximum ?? Number.POSITIVE_INFINITY,
    );
    if (low === Number.NEGATIVE_INFINITY) low = high > 0 ? 0 : high - 100;
    if (high === Number.POSITIVE_INFINITY) high = low + 100 * Math.max(1, schema.multipleOf ?? 1);
    if (integer || schema.multipleOf !== undefined) return sampleMultiple(schema, integer, low, high);
    const value = low + random.next() * (high - low);
    const short = Number(value.toFixed(2));
    return acceptsHere(schema, short) ? short : value;
  }

  /** A multiple of the step; not every product of fractions is one to a validator that divides, so several are tried. */
  function sampleMultiple(schema: JsonSchema, integer: boolean, low: number, high: number): number {
    const step = schema.multipleOf ?? 1;
    const least = Math.ceil(low / step);
    const most = Math.min(Math.floor(high / step), least + 1000);
    const start = random.below(most - least + 1);
    for (let tries = 0; tries <= most - least; tries++) {
      const times = least + ((start + tries) % (most - least + 1));
      const value = Number((times * step).toPrecision(15));
      const isWhole = Number.isInteger(value / step) && (!integer || Number.isInteger(value));
      if (isWhole && value !== schema.exclusiveMinimum && value !== schema.exclusiveMaximum) return value;
    }
    throw new NoValue();
  }

  return sample;
}
