// Strings of the formats that JSON Schema names (2020-12, validation, 7.3).

import type { Random } from "./random.ts";

/** A string of this format, or null for a format we do not know: a schema may name any. */
export function sampleFormat(format: string, random: Random): string | null {
  return FORMATS[format]?.(random) ?? null;
}

const two = (value: number) => String(value).padStart(2, "0");
const hex = (count: number, random: Random) =>
  Array.from({ length: count }, () => random.below(16).toString(16)).join("");
const date = (random: Random) =>
  `20${two(20 + random.below(10))}-${two(1 + random.below(12))}-${two(1 + random.below(28))}`;
const time = (random: Random) => `${two(random.below(24))}:${two(random.below(60))}:${two(random.below(60))}Z`;
const name = (random: Random) => random.pick(["alpha", "beta", "gamma", "delta", "omega"]);
const host = (random: Random) => `${name(random)}.example.com`;
const email = (random: Random) => `${name(random)}@example.com`;
const uri = (random: Random) => `https://${host(random)}/${name(random)}`;

const FORMATS: Record<string, (random: Random) => string> = {
  date,
  time,
  "date-time": (random) => `${date(random)}T${time(random)}`,
  duration: (random) => `P${1 + random.below(9)}DT${1 + random.below(9)}H`,
  email,
  "idn-email": email,
  hostname: host,
  "idn-hostname": host,
  // Addresses for documentation: RFC 5737 and RFC 3849.
  ipv4: (random) => `192.0.2.${1 + random.below(254)}`,
  ipv6: (random) => `2001:db8::${1 + random.below(9999)}`,
  uri,
  url: uri,
  iri: uri,
  "uri-reference": uri,
  "iri-reference": uri,
  "uri-template": (random) => `${uri(random)}/{id}`,
  uuid: (random) => `${hex(8, random)}-${hex(4, random)}-4${hex(3, random)}-8${hex(3, random)}-${hex(12, random)}`,
  "json-pointer": (random) => `/${name(random)}`,
  "relative-json-pointer": (random) => `${random.below(3)}/${name(random)}`,
  regex: (random) => `^${name(random)}$`,
  byte: (random) => Buffer.from(name(random)).toString("base64"),
};
