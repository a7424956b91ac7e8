// `oxbow embed`: texts as vectors, from the command line or line by line from a pipe.

import { decodeVector, type EmbeddingAnswer } from "@oxbow/contract";
import { type Command, Option } from "commander";
import { type Asker, askCall, modelFor } from "../ask.ts";
import { CommandError, EXIT } from "../exit.ts";
import type { Env } from "../home.ts";
import { linesIn } from "../input.ts";
import { print, say } from "../output.ts";
import { countOf } from "../values.ts";

interface EmbedOptions extends Asker {
  model?: string;
  dimensions?: number;
  inputType?: string;
  json?: boolean;
}

/** Texts in one call: enough to keep a model busy, and few enough that the first vectors come soon. */
const BATCH = 64;

export function addEmbed(program: Command, env: Env): void {
  program
    .command("embed [texts...]")
    .description("turn texts into vectors: a line of numbers for each; without texts, the lines of standard input")
    .option("--model <model>", "by default the first that the server has for it")
    .option("--dimensions <count>", "shorter vectors, for models that were trained for it", countOf)
    .addOption(
      new Option("--input-type <type>", "what the texts are for, with models that tell questions from answers").choices(
        ["query", "passage"],
      ),
    )
    .option("--url <url>", "base URL of the server (OXBOW_BASE_URL, or where `oxbow up` would listen)")
    .option("--key <key>", "API key; the environment (OXBOW_API_KEY) keeps it out of the shell's history")
    .option("--json", "print a JSON object for each text: index, text, embedding")
    .action((texts: string[], options: EmbedOptions) => embed(texts, options, env));
}

async function embed(texts: string[], options: EmbedOptions, env: Env): Promise<void> {
  if (texts.length === 0 && process.stdin.isTTY) {
    throw new CommandError("Give texts, or pipe in lines: oxbow embed < texts.txt", EXIT.usage);
  }
  // No model has a vector for nothing.
  const empty = texts.indexOf("");
  if (empty >= 0) throw new CommandError(`Text ${empty + 1} is empty: there is nothing to embed.`, EXIT.usage);
  let model: string | undefined;
  let index = 0;
  let waiting: { index: number; text: string }[] = [];
  const send = async () => {
    const batch = waiting;
    waiting = [];
    if (batch.length === 0) return;
    model ??= await modelFor("embeddings", options.model, options, env);
    await embedBatch(batch, model, options, env);
  };
  for await (const text of texts.length > 0 ? texts : linesIn()) {
    // A line that is left out keeps its number.
    if (text !== "") waiting.push({ index, text });
    else say(`Line ${index + 1} (index ${index}) is empty: left out.`);
    index++;
    if (waiting.length === BATCH) await send();
  }
  await send();
  if (model === undefined) throw new CommandError("Standard input holds no text to embed.", EXIT.usage);
}

async function embedBatch(
  batch: { index: number; text: string }[],
  model: string,
  { dimensions, inputType, json, ...asker }: EmbedOptions,
  env: Env,
): Promise<void> {
  const body = {
    model,
    input: batch.map(({ text }) => text),
    encoding_format: "base64",
    ...(dimensions === undefined ? {} : { dimensions }),
    ...(inputType === undefined ? {} : { input_type: inputType }),
  };
  const { data } = await askCall<EmbeddingAnswer>("/embeddings", body, asker, env);
  for (const [at, { index, text }] of batch.entries()) {
    const vector = decodeVector(data?.[at]?.embedding);
    if (!vector) throw new CommandError("The server answered with something that holds no vectors.");
    // Nine digits say a number of 32 bits exactly.
    const embedding = Array.from(vector, (value) => Number(value.toPrecision(9)));
    print(json ? JSON.stringify({ index, text, embedding }) : embedding.join(" "));
  }
}
