// Writes docs/engines.md from data/engines.yaml, the tables of repairs and the recordings: `bun docs/build-engines.ts`. A
// test holds the page to them.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type EngineKind, loadConfig, type RemoteKind } from "../server/config.ts";
import { CALL_REPAIRS } from "../server/engines/call-repairs.ts";
import { REPAIRS } from "../server/engines/repairs/repairs.ts";
import { TOOL_CHOICES } from "../server/engines/tool-choice.ts";
import { PRIVATE_FIELDS } from "../server/gateway/forward.ts";

const RECORDINGS = join(import.meta.dir, "../test/recordings");

export function enginesPage(): string {
  const { kinds } = loadConfig({ env: {} });
  const remote = Object.entries(kinds).flatMap(([name, kind]) =>
    kind.remote ? [{ name, kind, row: kind.remote }] : [],
  );
  return `# Engines

An engine answers calls. It is a worker that Oxbow starts on this machine (\`llama\`, \`simulator\` and others), or a server that
runs elsewhere and has a URL: vLLM, SGLang, llama-server, Ollama, a provider, a router. Both are entries of
\`data/engines.yaml\`, or of the same file in your own folder (\`OXBOW_DATA\`); a schema beside it lets editors help.

## Adding an engine

One entry, by hand or by \`oxbow engines add\`, which asks the server first what it is ([fleet.md](fleet.md)). The model must be
in \`models.yaml\` ([models.md](models.md)).

\`\`\`yaml
engines:
  gpu-1:
    kind: vllm
    url: http://10.0.0.1:8000/v1
    models:
      - id: llama-3.3-70b                            # our id: what callers say, and what they get back
        name: meta-llama/Llama-3.3-70B-Instruct      # what its server calls it; without it, our id
    slots: 32
    apiKeyEnv: GPU_1_KEY
\`\`\`

| field | default | meaning |
| --- | --- | --- |
| \`kind\` | | a row of \`kinds\`, in the same file |
| \`url\` | | base URL as SDKs take it, with \`/v1\` at its end. Kinds with a worker have none |
| \`models\` | | \`id\`, and \`name\` where its server has another; or \`all\`: every model that no other engine names |
| \`slots\` | | calls it works on at the same time; the rest wait in Oxbow's line, where priorities are kept |
| \`weight\` | 1 | its share of the calls beside other engines of the same model |
| \`tags\` | none | for the operator: region, rack, what it costs |
| \`apiKeyEnv\` | none | the environment variable that holds its server's API key. A start without the variable is refused |
| \`accounts\` | all | ids of the accounts that it serves alone |
| \`pinned\` | true | \`/ready\` waits for it |

Keys stand in the environment and nowhere else: not in the file, the log, errors, or what commands print. Callers' own keys,
and all their other header fields, never reach an engine; redirects are not followed.

When an engine is reached Oxbow asks for its health, models, version and metrics, and, where the kind has priorities, sends
one call of one token to see whether they are understood. A vLLM without \`--scheduling-policy priority\` refuses them: then
none is sent, and Oxbow's own line is what keeps the order.

## What is put right on the way

Engines speak nearly the same wire, and SDKs break on the difference. The row of a kind names what its answers need; where
nothing is wrong the engine's bytes pass as they came, and our own workers' answers are not looked into at all.

| repair | what engines do, and what becomes of it |
| --- | --- |
${Object.entries(REPAIRS)
  .map(([name, { about }]) => `| \`${name}\` | ${about} |`)
  .join("\n")}

For every remote kind: events are cut and framed anew whatever their line ends, comments, missing blanks and chunk borders;
an event or an answer that is no JSON ends the call with an error; the model has our id; token counts are asked for, so that
the ledger has them, and shown only to callers who asked. Of chat and completions, an answer that comes whole where a stream
was asked for is sent as a stream, and events where none were asked for are put together to the answer that they tell;
elsewhere such a call fails.

What is right in a call, and refused by an engine:

| repair of a call | what is sent instead |
| --- | --- |
${Object.entries(CALL_REPAIRS)
  .map(([name, { about }]) => `| \`${name}\` | ${about} |`)
  .join("\n")}

\`rename\` and \`roles\` give fields and roles the names that an engine knows. \`toolChoices\` says which ways of choosing a tool
it obeys (${TOOL_CHOICES.map((way) => `\`${way}\``).join(", ")}): another way is said in one of these that means the same, and where
there is none the call is refused with \`unsupported_value\` instead of being half obeyed.

**Counts that an engine does not tell** are estimated: one token for every four bytes of prompt and answer, and at least one
for each delta of a stream. That is within a factor of two for prose in Latin letters, and too low for other scripts.

**Errors** are read in every form (envelope, flat, FastAPI's \`detail\`, bare text; also under status 200 and inside streams) and
told in [our table's](errors.md): the texts by which engines refuse a prompt that does not fit become
\`context_length_exceeded\` with the numbers in them, refusals of the call keep their words under our name of the model, and an
engine's own failures (5xx, a wrong key of ours, a model it does not have) show nothing of it. Texts are data: \`refusals\`.

## Kinds

| kind | health | load from | priority | tenant | sleeps | counts prompts |
| --- | --- | --- | --- | --- | --- | --- |
${remote.map(({ name, row }) => `| \`${name}\` | \`${row.health}\` | ${loadOf(row)} | ${priorityOf(row)} | ${tenantOf(row)} | ${row.sleep ? "yes" : "no"} | ${row.count ? "yes" : "no"} |`).join("\n")}

| kind | repairs | of calls | sent otherwise | chooses tools by | connections |
| --- | --- | --- | --- | --- | --- |
${remote.map(({ name, row }) => `| \`${name}\` | ${listOf(row.repairs)} | ${listOf(row.callRepairs)} | ${renamesOf(row)} | ${choicesOf(row)} | ${row.keepAlive ? "kept" : "one each"} |`).join("\n")}

Never sent on, because a caller could jump the engine's line with it, reach inside it, or see what is not his:

| kind | fields of the body |
| --- | --- |
| every kind, and our own workers | ${listOf(PRIVATE_FIELDS)} |
${remote
  .filter(({ row }) => row.privateFields.length > 0)
  .map(({ name, row }) => `| \`${name}\` | ${listOf(row.privateFields)} |`)
  .join("\n")}

What a kind carries of the wire; what is not here is refused by name, with \`unsupported_parameter\`:

| kind | features |
| --- | --- |
${remote.map(({ name, kind }) => `| \`${name}\` | ${featuresOf(kind)} |`).join("\n")}

## Adding a kind

1. A row in \`kinds\` with \`remote\` and \`features\`. Fields and their meanings are in \`data/engines.schema.json\`. Begin with no
   \`repairs\` at all: then the engine's answers pass as they are.
2. Its entry in \`server/engines/kinds.test.ts\`: an answer, a stream and a refusal as the engine writes them. The test says
   what SDKs would break on; each line of it names the repair to ask for. A kind without an entry fails.
3. \`bun docs/build-engines.ts\`.

Only an engine with a habit that no repair knows needs code: a file in \`server/engines/repairs/\` and its line in the table.

## Really run

\`npm run test:engines\` builds engines that nobody here wrote from their packages, runs the suite of SDK calls against them
through Oxbow (\`test/engines/suite.ts\`), and records what they say. \`npm test\` plays the recordings, and runs the same suite
against our own worker and the simulator in the dress of vLLM, of SGLang and in none. From an empty folder the builds compute for
some twenty minutes: seen to the end twice on 2026-11-21, on two cores that others used too, in 38 and 54 minutes.

| engine | version | recorded | exchanges |
| --- | --- | --- | --- |
${recordings()}

On those: Ollama shortens a prompt that is too long and says nothing; give it the context that \`models.yaml\` promises
(\`OLLAMA_CONTEXT_LENGTH\`). llama-cpp-python breaks a stream off without a word when its prompt does not fit, which callers see
as \`engine_failed\`; and it ends a running call when another comes, unless started with \`--interrupt_requests false\`.
llama-server lets a model talk before a \`required\` call.

vLLM, SGLang, the routers and OpenAI itself were **not** run here: their rows follow their documentation, their source and
what their users report, read 2026-11-21. llm-d-inference-sim could not be had from its Go module: the module proxy refuses every version of it (403).
`;
}

const listOf = (names: readonly string[]) => names.map((name) => `\`${name}\``).join(", ") || "none";
const featuresOf = ({ features }: EngineKind) => features.join(", ");

function loadOf({ metrics }: RemoteKind): string {
  if (!metrics) return "none";
  const names = [metrics.running, metrics.waiting ?? [], metrics.kvUsage ?? [], metrics.work ?? []];
  return names
    .flatMap(([first]) => first ?? [])
    .map((name) => `\`${name}\``)
    .join(", ");
}

function priorityOf({ priority }: RemoteKind): string {
  if (!priority) return "none";
  if (priority.field === undefined) return `header \`${priority.header}\``;
  return `\`${priority.field}\`, ${priority.order === "low_first" ? "smaller" : "larger"} first`;
}

function tenantOf({ tenant }: RemoteKind): string {
  if (!tenant) return "none";
  return tenant.field ? `\`${tenant.field}\`` : `header \`${tenant.header}\``;
}

function renamesOf({ rename, roles }: RemoteKind): string {
  const pairs = [...Object.entries(rename), ...Object.entries(roles)];
  return pairs.map(([ours, theirs]) => `\`${ours}\` as \`${theirs}\``).join(", ") || "nothing";
}

function choicesOf({ toolChoices }: RemoteKind): string {
  return toolChoices.length === TOOL_CHOICES.length ? "every way" : listOf(toolChoices);
}

function recordings(): string {
  const rows = readdirSync(RECORDINGS)
    .filter((name) => name.endsWith(".jsonl"))
    .sort()
    .map((name) => {
      const lines = readFileSync(join(RECORDINGS, name), "utf8").trimEnd().split("\n");
      const { engine, version, made } = JSON.parse(lines[0]!) as Record<string, string>;
      return `| ${engine} | ${version} | ${made} | ${lines.length - 1} |`;
    });
  return rows.join("\n");
}

if (import.meta.main) await Bun.write(new URL("engines.md", import.meta.url), enginesPage());
