// Fills a JSON schema with what a text offers, and with made-up values where it offers nothing.

import type { Hints } from "./hints.ts";
import type { Random } from "./random.ts";
import type { JsonSchema } from "./schema.ts";
import { sampleSchema } from "./schema-sample.ts";

/**
 * A value that the schema accepts; undefined when none was found.
 *
 * @param extent which optional properties are there: all of them, or only those that the text says something about
 */
export function sampleFilled(schema: JsonSchema, hints: Hints, random: Random, extent: "all" | "needed"): unknown {
  // Values from the text first; a schema they do not fit as a whole gets made-up ones.
  return (
    sampleSchema(schema, { random, extent, suggest: createSuggestions(hints) }) ??
    sampleSchema(schema, { random, extent, suggest: () => undefined })
  );
}

/** Whether a parameter of this name takes running text rather than a name. */
export function isTextLike(key: string): boolean {
  return /quer|question|prompt|text|message|content|search|input|body|expression|code|sql|note|comment/i.test(key);
}

/**
 * What the text offers for a place: the subjects and numbers go out in their order, each once, and then again from the
 * first; words of a choice only when the text says them.
 */
function createSuggestions(hints: Hints) {
  let subject = 0;
  let number = 0;
  const nextSubject = () => (hints.subjects.length > 0 ? hints.subjects[subject++ % hints.subjects.length] : undefined);

  return function suggest(key: string, schema: JsonSchema): unknown {
    if (schema.enum) return saidChoice(schema.enum, hints.text);
    const types = typeof schema.type === "string" ? [schema.type] : (schema.type ?? []);
    if (types.includes("number") || types.includes("integer")) {
      return hints.numbers.length > 0 ? hints.numbers[number++ % hints.numbers.length] : undefined;
    }
    if (!types.includes("string")) return undefined;
    if (schema.format) return hints.literals.find((literal) => looksLike(schema.format!, literal));
    if (/date|day|when|month/i.test(key) && hints.dates.length > 0) return hints.dates[0];
    if (isTextLike(key)) return subjectInQuotes(hints) ?? (hints.text === "" ? undefined : hints.text.slice(0, 200));
    return nextSubject();
  };
}

function saidChoice(choices: unknown[], text: string): unknown {
  const small = text.toLowerCase();
  return choices.find((choice) => typeof choice === "string" && choice !== "" && small.includes(choice.toLowerCase()));
}

function subjectInQuotes({ text, subjects }: Hints): string | undefined {
  return subjects.length === 1 && /["“']/.test(text[text.indexOf(subjects[0]!) - 1] ?? "") ? subjects[0] : undefined;
}

function looksLike(format: string, literal: string): boolean {
  if (format === "email") return literal.includes("@");
  if (format === "uri" || format === "url") return literal.startsWith("http");
  return (format === "date" || format === "date-time") && /^\d/.test(literal);
}
