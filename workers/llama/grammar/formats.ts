// The values of JSON Schema's `format` that we enforce, as patterns. Where a format knows odd corners (quoted local parts
// of e-mail addresses, hosts of one or of ten labels) only its usual forms are written: every text that fits the pattern is valid.
// Sources: RFC 3339 (times), 4122 (UUID), 5321 (e-mail), 1123 (host names), 3986 (URI), 4291 (IPv6), 6901 (JSON pointer),
// ISO 8601 as quoted in RFC 3339 appendix A (duration); read 2026-11-21.

const LEAP_YEAR = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)";
const DATE =
  "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))" +
  `|${LEAP_YEAR}-02-29)`;
const CLOCK = "(?:[01][0-9]|2[0-3]):[0-5][0-9]";
const TIME = `${CLOCK}:[0-5][0-9](?:\\.[0-9]{1,9})?(?:Z|[+-]${CLOCK})`;
const LABEL = "[a-zA-Z0-9]{1,20}(?:-[a-zA-Z0-9]{1,20})?";
const HOST = `(?:${LABEL}\\.){1,3}[a-zA-Z]{2,12}`;
const BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
const IPV4 = `${BYTE}(?:\\.${BYTE}){3}`;
const HEX4 = "[0-9a-fA-F]{1,4}";
/** Eight groups, or `::` for at least two groups of zeros. */
const IPV6 = [
  `${HEX4}(?::${HEX4}){7}`,
  "::",
  ...[1, 2, 3, 4, 5, 6].map(
    (before) => `${HEX4}(?::${HEX4}){${before - 1}}::(?:${HEX4}(?::${HEX4}){0,${5 - before}})?`,
  ),
  `::${HEX4}(?::${HEX4}){0,5}`,
]
  .filter((form) => !form.includes("{0,-1}"))
  .concat(`${HEX4}(?::${HEX4}){5}::`)
  .join("|");
const PATH_CHAR = "(?:[a-zA-Z0-9._~!$&'()*+,;=:@-]|%[0-9a-fA-F]{2})";
const TAIL = `(?:\\?(?:${PATH_CHAR}|[/?])*)?(?:#(?:${PATH_CHAR}|[/?])*)?`;
const URI = `[a-z][a-z0-9+.-]{1,15}://${HOST}(?::[1-9][0-9]{0,3})?(?:/${PATH_CHAR}*)*${TAIL}`;

const span = (unit: string, rest: string) => `(?:[0-9]{1,6}${unit}${rest}|`;
/** At least one part, in order: years to days, then hours to seconds; or weeks alone. */
const CLOCK_SPAN = `T(?:[0-9]{1,6}H(?:[0-9]{1,6}M(?:[0-9]{1,6}S)?)?|[0-9]{1,6}M(?:[0-9]{1,6}S)?|[0-9]{1,6}S)`;
const DAY_SPAN = `${span("Y", "(?:[0-9]{1,6}M(?:[0-9]{1,6}D)?)?")}[0-9]{1,6}M(?:[0-9]{1,6}D)?|[0-9]{1,6}D)`;
const DURATION = `P(?:[0-9]{1,6}W|${DAY_SPAN}(?:${CLOCK_SPAN})?|${CLOCK_SPAN})`;

const EMAIL = `[a-zA-Z0-9_+-]{1,24}(?:\\.[a-zA-Z0-9_+-]{1,20}){0,2}@${HOST}`;
const POINTER = "(?:/(?:[^~/]|~[01])*)*";

const whole = (pattern: string) => `^(?:${pattern})$`;

/** Pattern by format. Formats that are not here say something that no grammar of ours can hold a model to. */
export const FORMATS: Record<string, string> = {
  date: whole(DATE),
  time: whole(TIME),
  "date-time": whole(`${DATE}T${TIME}`),
  duration: whole(DURATION),
  uuid: whole("[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"),
  email: whole(EMAIL),
  "idn-email": whole(EMAIL),
  hostname: whole(HOST),
  "idn-hostname": whole(HOST),
  ipv4: whole(IPV4),
  ipv6: whole(IPV6),
  uri: whole(URI),
  url: whole(URI),
  iri: whole(URI),
  "uri-reference": whole(`${URI}|(?:/${PATH_CHAR}*)+${TAIL}`),
  "iri-reference": whole(`${URI}|(?:/${PATH_CHAR}*)+${TAIL}`),
  "json-pointer": whole(POINTER),
  "relative-json-pointer": whole(`(?:0|[1-9][0-9]{0,5})(?:#|${POINTER})`),
};

/** Formats with a meaning that we can neither enforce nor ignore. Any other unknown format is a remark for readers. */
export const UNENFORCEABLE_FORMATS = new Set(["regex", "uri-template"]);
