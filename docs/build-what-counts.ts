// Writes docs/what-counts.md from the table of outcomes: `bun docs/build-what-counts.ts`. A test holds the page to it.

import { OUTCOMES } from "@oxbow/contract";

export function whatCountsPage(): string {
  const rows = Object.entries(OUTCOMES).map(
    ([name, { counted, about }]) => `| \`${name}\` | ${counted ? "yes" : "no"} | ${about} |`,
  );
  return `# What counts as a request

One call that delivered a usable answer is one request: one message or a hundred, one token or thirty thousand, one choice
or eight. How the call ended decides, by this table; \`oxbow usage\` and \`GET /v1/usage\` use the same names.

| how it ended | counted | when |
| --- | --- | --- |
${rows.join("\n")}

Never counted, and never in the ledger: every \`GET\`, health checks, what is refused before it was accepted (a wrong key, a
wrong body, an unknown model, a limit of the plan), and a repeat under the same \`Idempotency-Key\`.

## How an answer says it

- \`x-oxbow-counted\` on every answer that is not a stream, errors too: how many requests it counted, \`0\` or more.
- \`x-oxbow-units\` on a stream: how many it will count when it is complete, or cancelled after its first token. When the
  header goes out nobody knows yet how the stream will end.
- \`x-ratelimit-*\`: what is left (docs/plans.md).
- \`x-oxbow-max-tokens-clamped\`: the plan's cap on the answer, when the call asked for more than that.

## Complete means on disk

The end of an answer (the body, or a stream's last \`finish_reason\` and all that follows) leaves the server only after the
ledger has the request on disk. So a complete answer is counted exactly once, and one that never became complete because the
server died is not counted. The one gap left: the server may die after the ledger has it and before the last bytes are sent.
A request that names an \`Idempotency-Key\` closes it.

## Repeating a request safely

\`Idempotency-Key: <up to 255 printable characters>\` on a \`POST\`, and for 24 hours:

| the same key with | answer |
| --- | --- |
| the same path and body, after a complete answer | that answer, byte for byte, with \`idempotent-replayed: true\`; not counted |
| the same path and body, while the first call runs | 409 \`idempotency_in_flight\`, try again in a second |
| another path or body | 409 \`idempotency_key_reuse\` |
| the same, after a call that was not complete | a new call: the key is free again |

A caller that hangs up after the first token has that call counted, and a repeat is a new call. A whole answer is
kept up to 128 MB, and 32 MB once it is packed: 2,048 vectors of 1,024 numbers as \`float\` are 45 MB and 18. A stream is kept up
to 16 MB. What is larger has \`x-oxbow-answer-kept: false\` (a stream has no header for it), and its repeat is 409
\`idempotency_answer_not_kept\`, so that nothing is done or counted twice by surprise. Answers to requests without the header
are never stored.
`;
}

if (import.meta.main) await Bun.write(new URL("what-counts.md", import.meta.url), whatCountsPage());
