// Takes out of a text what could name a person or open a door: addresses, keys, numbers, and files in the form of text. By
// rules that rather take too much: what is left is for replaying calls, not for reading them.

interface Rule {
  what: RegExp;
  /** What stands in its place. */
  name: string;
  /** Of what was found; absent: all. */
  only?: (found: string) => boolean;
}

/** In this order: what a rule has put in place is not looked at by those after it. */
const RULES: readonly Rule[] = [
  // Images, sound and files inside of the body.
  { what: /data:[\w.+-]+\/[\w.+-]+(?:;[\w=.+-]+)*,[A-Za-z0-9+/=_%-]*/g, name: "data" },
  { what: /-----BEGIN [A-Z ]{1,40}-----[\s\S]*?(?:-----END [A-Z ]{1,40}-----|$)/g, name: "key" },
  // Bounded, as the others are: a pattern that could look at a long word from each of its letters on would stop the server.
  { what: /[\p{L}\p{N}._%+'-]{1,128}@[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)*/gu, name: "email" },
  // What stands behind a scheme, a name for a secret, or a prefix that issuers of keys use.
  { what: /\b(?:bearer|basic|token)\s+[A-Za-z0-9._~+/=-]{6,}/gi, name: "key" },
  {
    what: /\b(?:api[-_ ]?key|secret|password|passwd|pwd|access[-_ ]?token)["']?\s*(?:[:=]|is)\s*["']?[^\s"',;}]+/gi,
    name: "key",
  },
  {
    what: /\b(?:sk|pk|rk|ox|gh[pousr]|xox[abpers]|hf|AKIA|ASIA|AIza|eyJ)[-_]?[A-Za-z0-9_-]{10,}(?:\.[\w-]+)*/g,
    name: "key",
  },
  // Who may be named in the rest of an address of the web: passwords before the host, and all behind it.
  { what: /\b[a-z][a-z0-9+.-]{0,30}:\/\/[^\s"'<>]+/gi, name: "url" },
  // Long runs in which letters and digits mix: digests, ids, keys that nobody announces.
  { what: /[A-Za-z0-9_+/=-]{20,}/g, name: "key", only: (run) => /\d/.test(run) && /[A-Za-z]/.test(run) },
  // Telephones, cards, accounts, dates of birth: four digits or more, however they are grouped.
  { what: /\p{Nd}(?:[\s().,:/+-]{0,2}\p{Nd}){3,}/gu, name: "number" },
];

export function redactText(text: string): string {
  // Marks of our own are left alone by all rules: they hold neither digits nor an at sign.
  const mark =
    ({ name, only }: Rule) =>
    (found: string) =>
      only === undefined || only(found) ? `[${name}]` : found;
  return RULES.reduce((rest, rule) => rest.replace(rule.what, mark(rule)), text);
}

/** Fields that say who asks, whatever stands in them. */
const WHO: ReadonlySet<string> = new Set(["user", "safety_identifier", "metadata", "prompt_cache_key"]);

/** Every text in a value, and every name of a field. Numbers that steer a call, such as `max_tokens`, stay. */
export function redact(value: unknown): unknown {
  if (typeof value === "string") return redactText(value);
  if (Array.isArray(value)) return value.map(redact);
  if (typeof value !== "object" || value === null) return value;
  const kept = Object.entries(value).filter(([name]) => !WHO.has(name));
  return Object.fromEntries(kept.map(([name, inner]) => [redactText(name), redact(inner)]));
}
