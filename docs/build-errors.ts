// Writes docs/errors.md from the table of errors: `bun docs/build-errors.ts`. A test holds the page to the table.

import { ERRORS } from "@oxbow/contract";

export function errorsPage(): string {
  const rows = Object.entries(ERRORS).map(([name, { status, type, code, retry, about }]) => {
    return `| ${name} | ${status} | \`${type}\` | ${code === null ? "null" : `\`${code}\``} | ${retry ? "yes" : "no"} | ${about} |`;
  });
  return `# Errors

Every error, on every path, is this envelope, with all four keys, and the response carries \`x-request-id\`:

\`\`\`json
{"error": {"message": "…", "type": "…", "param": "messages[0].content", "code": "…"}}
\`\`\`

Programs branch on \`code\` (a string or null), people read \`message\`. "Retry" tells whether the same call can succeed
later: such errors say when with \`retry-after\` and \`retry-after-ms\` where it is known, and the others from 429 on say
\`x-should-retry: false\`, so that SDKs do not hammer. After the first byte of a stream the status is spent: the envelope
then comes as an event, and no \`[DONE]\` follows (docs/decisions/0003).

| row | status | type | code | retry | when |
| --- | --- | --- | --- | --- | --- |
${rows.join("\n")}

An engine's own refusals (400, 404, 408, 413, 422, 429, 500, 502, 503, 504) are passed on in this envelope with their
status, words and retry fields.
`;
}

if (import.meta.main) await Bun.write(new URL("errors.md", import.meta.url), errorsPage());
