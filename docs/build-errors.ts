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

What an engine refuses because of the call itself is passed on in this envelope with its words. That it takes no more calls
(429, 503) is told as \`queue_timeout\`, with when to come again ([fleet.md](fleet.md)): a limit of ours with an engine is none
of the caller's. Failures of our own workers keep their status; those of servers elsewhere are \`engine_failed\` or
\`engine_timeout\`, and show nothing of them. Failures that a simulator was asked for come as they were ordered.
`;
}

if (import.meta.main) await Bun.write(new URL("errors.md", import.meta.url), errorsPage());
