// What a text names that may serve as a value: what stands in quotes, proper names, numbers, and the words themselves.

export interface Hints {
  /** The whole text, trimmed. */
  text: string;
  /** Words in small letters, without endings that do not matter. */
  words: Set<string>;
  /** What the text is about, in order: quoted strings, else proper names, else words after "in", "of", "for" …. */
  subjects: string[];
  numbers: number[];
  /** E-mail addresses, URLs and dates, for strings with a format. */
  literals: string[];
  /** Dates, days and months as they stand in the text. */
  dates: string[];
}

/** @param whole read only at its beginning and end: that is where instructions stand around a long document */
export function hintsOf(whole: string): Hints {
  const text =
    whole.length > 2 * SIDE_CHARACTERS
      ? `${whole.slice(0, SIDE_CHARACTERS)} ${whole.slice(-SIDE_CHARACTERS)}`.toWellFormed()
      : whole;
  const literals = text.match(LITERAL) ?? [];
  const rest = text.replace(LITERAL, " ");
  const quoted = [...rest.matchAll(QUOTED)].map((match) => (match[1] ?? match[2] ?? match[3])!.trim());
  const names = namesIn(rest);
  const subjects = quoted.length > 0 ? quoted : names.length > 0 ? names : objectsIn(rest);
  const isDay = (subject: string) => DAY.test(subject);
  return {
    text: text.trim(),
    words: wordsOf(text),
    subjects: [...new Set(subjects)].filter((subject) => !isDay(subject)).slice(0, SUBJECTS_MAX),
    dates: [...literals.filter((literal) => /^\d/.test(literal)), ...names.filter(isDay)],
    numbers: (rest.match(NUMBER) ?? []).slice(0, SUBJECTS_MAX).map(Number),
    literals,
  };
}

/** Words of a text or of an identifier (`get_weather`, `getWeather`), fit for comparing. */
export function wordsOf(text: string): Set<string> {
  const parts =
    text
      .replace(/(\p{Ll})(\p{Lu})/gu, "$1 $2")
      .toLowerCase()
      .match(/[\p{L}\p{N}]+/gu) ?? [];
  return new Set(parts.map(stem));
}

/** `cities` and `city`, `searching` and `search` are the same word. */
function stem(word: string): string {
  if (word.length > 5 && word.endsWith("ing")) return word.slice(0, -3);
  if (word.length > 4 && word.endsWith("ies")) return `${word.slice(0, -3)}y`;
  return word.length > 3 && word.endsWith("s") && !word.endsWith("ss") ? word.slice(0, -1) : word;
}

const SUBJECTS_MAX = 16;
const SIDE_CHARACTERS = 4000;
const LITERAL =
  /https?:\/\/[^\s"'<>)]*[^\s"'<>).,;:!?]|[\w.+-]+@[\w-]+\.[\w.-]*\w|\b\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2})?(?:Z|[+-]\d{2}:\d{2})?)?/g;
const QUOTED = /"([^"\n]{1,200})"|[“”]([^“”\n]{1,200})[“”]|(?<![\p{L}\d])'([^'\n]{1,200})'(?![\p{L}\d])/gu;
const NUMBER = /(?<![\p{L}\d_.])-?\d+(?:\.\d+)?(?![\p{L}\d_])/gu;
const NAME = /\p{Lu}[\p{L}\p{M}\d_'’-]*(?: \p{Lu}[\p{L}\p{M}\d_'’-]*)*(?:, \p{Lu}{2}\b)?/gu;

const DAY =
  /^(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day$|^(?:January|February|March|April|May|June|July|August|September|October|November|December)\b/;

/** Capitalised words, without those that are capitalised because a sentence begins, or that name nothing. */
function namesIn(text: string): string[] {
  return (text.match(NAME) ?? []).flatMap((match) => {
    const words = match.split(" ");
    while (words.length > 0 && NO_NAMES.has(words[0]!.toLowerCase().replace(/['’].*$/, ""))) words.shift();
    const name = words.join(" ").replace(/['’]s$/, "");
    return name.length > 1 ? [name] : [];
  });
}

const NO_NAMES = new Set(
  "a about add all an and answer any are ask book but buy calculate call can check compare compute convert could count create dear delete describe did do does explain extract fetch find for from generate get give go good has have hello help her here hey hi his how i if in invoke is it json let list look make me multiply my no not now of on open or our play please put read remove reply return run say schedule search send set she should show start stop subtract sum summarize summarise sure tell thank thanks that the their then there these they this time to today tomorrow translate try turn update use using was we weather were what when where which who why will with would write yes you your".split(
    " ",
  ),
);

/** For texts in small letters: "weather in paris and tokyo". */
function objectsIn(text: string): string[] {
  const word =
    "(?!(?:the|a|an|my|your|our|this|that|these|it|me|us|you|now|today|tomorrow|which|what|and|or)\\b)[\\p{L}][\\p{L}\\d-]*";
  const phrase = new RegExp(
    `\\b(?:in|for|of|at|near|from|to|about)\\s+(?:the\\s+)?(${word}(?:\\s*(?:,|&|\\band\\b)\\s*${word})*)`,
    "giu",
  );
  return [...text.matchAll(phrase)]
    .flatMap((match) => match[1]!.split(/\s*(?:,|&|\band\b)\s*/))
    .filter((part) => part !== "");
}
