// The code samples of the documents that describe the platform, run as programs of their own against the server.

import { afterAll, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { KEY } from "../harness.ts";
import { openFiles, pngOfZeros } from "../images.ts";
import { pythonWithClients } from "../python/venv.ts";
import { MODEL, testTraffic, useServer } from "../suite.ts";

/** What the samples point at on the network. */
const files = openFiles({ "/diagram.png": { bytes: pngOfZeros(64) } });
afterAll(files.stop);
const server = useServer({ simulate: true, env: { OXBOW_FETCH_ALLOW: files.origin } });

const SAMPLES = new Map(
  [...readFileSync(join(import.meta.dir, "samples.txt"), "utf8").matchAll(/^## (.+)\n\n```\w+\n([\s\S]*?)^```$/gm)].map(
    ([, name, code]): [string, string] => [name!, code!],
  ),
);
/** The documents themselves, beside a developer's checkout. */
const DOCUMENTS = join(import.meta.dir, "../../../shared/seeds");

/** A sample as its reader would run it: his key, his base URL, his files, and a model where the sample leaves that open. */
function sample(name: string): string {
  const code = SAMPLES.get(name);
  if (code === undefined) throw new Error(`samples.txt has no sample ${name}`);
  return code
    .replaceAll("https://api.oxlo.ai/v1", server().baseUrl)
    .replaceAll("https://example.com", files.origin)
    .replaceAll(/YOUR_(OXLO_)?API_KEY/g, KEY)
    .replaceAll('model="..."', `model="${MODEL}"`);
}

interface Finished {
  output: string;
  exitCode: number;
}

async function run(command: string[], input: string): Promise<Finished> {
  const child = Bun.spawn(command, {
    // Modules read from standard input are looked up from here.
    cwd: join(import.meta.dir, ".."),
    env: { PATH: process.env.PATH, OXLO_API_KEY: KEY, PYTHONIOENCODING: "utf-8" },
    stdin: new Blob([input]),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [output, errors] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  const exitCode = await child.exited;
  if (exitCode !== 0) throw new Error(`${command[0]} ended with ${exitCode}:\n${errors}`);
  return { output, exitCode };
}

/** Samples that build on each other run as one program. */
async function python(names: string[], { after = "", input = "" } = {}): Promise<string> {
  const code = [...names.map(sample), after].join("\n");
  return (await run([pythonWithClients(), "-c", code], input)).output;
}

test("chatbot: setup, conversation state, tools, streaming, vision", async () => {
  const output = await python(
    ["chatbot: setup", "chatbot: state", "chatbot: tools", "chatbot: streaming", "chatbot: vision"],
    { after: 'print("\\nvision:", response.choices[0].message.content)' },
  );
  expect(output.split("\nvision:")[0]!.trim().length).toBeGreaterThan(10);
  expect(output.split("\nvision:")[1]!.trim()).not.toBe("");
}, 60_000);

test("chatbot: the function of the state sample holds a conversation", async () => {
  const after = 'print("1:", chat("Hello"))\nprint("2:", chat("And now?"))\nprint(len(messages))';
  const output = await python(["chatbot: setup", "chatbot: state"], { after });
  expect(output).toMatch(/1: \S[\s\S]*2: \S[\s\S]*\n5\n$/);
});

test("chatbot: the whole client, typed at", async () => {
  const output = await python(["chatbot: whole"], {
    input: "Hello\nWhat is the weather in Paris?\nThank you\nexit\n",
  });
  expect(output.match(/User: /g)).toHaveLength(4);
  expect(output.match(/\[Tool call detected\]/g)!.length).toBeGreaterThan(0);
});

test("conversational stack: a tool call is printed", async () => {
  const output = await python(["conversational stack: tools"]);
  expect(output).toContain("ChatCompletionMessageFunctionToolCall");
  expect(output).toContain('"Tokyo"');
});

test("conversational stack: the whole agent answers from the tool's result", async () => {
  const output = await python(["conversational stack: whole"]);
  expect(output).toContain("22");
});

test("reference: chat and streaming in Python", async () => {
  expect((await python(["reference: chat and streaming"])).trim().split("\n").length).toBeGreaterThan(1);
});

test("reference: embeddings", async () => {
  const output = await python(["reference: chat and streaming", "reference: embeddings"]);
  expect(output).toEndWith("Dimensions: 1024\n");
});

test("reference: Node", async () => {
  const { output } = await run(["node", "--input-type=module", "-"], sample("reference: Node"));
  expect(output.trim()).not.toBe("");
});

test("reference: curl", async () => {
  const { output } = await run(["sh", "-c", sample("reference: curl")], "");
  expect(JSON.parse(output).choices[0].message.content).toBeTruthy();
});

test("migration: one line", async () => {
  expect((await python(["migration: one line"])).trim()).not.toBe("");
});

test("compatibility: streaming", async () => {
  expect((await python(["compatibility: streaming"])).length).toBeGreaterThan(10);
});

test("the samples are the documents' own, wherever the documents are at hand", () => {
  const bare = (text: string) => text.replaceAll(/\s+/g, "");
  const files = existsSync(DOCUMENTS) ? readdirSync(DOCUMENTS).filter((name) => name.endsWith(".txt")) : [];
  const documents = files.map((name) => bare(readFileSync(join(DOCUMENTS, name), "utf8")));
  const found = [...SAMPLES].filter(([, code]) => documents.some((document) => document.includes(bare(code))));
  expect(found.map(([name]) => name)).toEqual(documents.length > 0 ? [...SAMPLES.keys()] : []);
  expect(SAMPLES.size).toBe(14);
});

testTraffic(server);
