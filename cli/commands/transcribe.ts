// `oxbow transcribe`: what is said in a recording, as text, captions or JSON; and in English, with --translate.

import { basename } from "node:path";
import { createSseReader } from "@oxbow/contract";
import { type Command, Option } from "commander";
import { type Asker, modelFor, piecesOf, postCall, textOf } from "../ask.ts";
import { CommandError, EXIT } from "../exit.ts";
import type { Env } from "../home.ts";
import { bytesOf } from "../input.ts";
import { printJson } from "../output.ts";

interface TranscribeOptions extends Asker {
  model?: string;
  format: string;
  language?: string;
  prompt?: string;
  words?: boolean;
  translate?: boolean;
  stream?: boolean;
  json?: boolean;
}

export function addTranscribe(program: Command, env: Env): void {
  program
    .command("transcribe <file>")
    .description("write down what is said in a recording: a file, or - for standard input")
    .option("--model <model>", "by default the first that the server has for it")
    .addOption(new Option("--format <format>", "what to print").choices(["text", "srt", "vtt", "json"]).default("text"))
    .option("--language <code>", "what is spoken, such as de; found out when it is not said")
    .option("--prompt <text>", "words that come up: names, terms, the style of the text")
    .option("--words", "with --json: when each word is said")
    .option("--translate", "into English")
    .option("--stream", "print the text while the recording is heard")
    .option("--url <url>", "base URL of the server (OXBOW_BASE_URL, or where `oxbow up` would listen)")
    .option("--key <key>", "API key; the environment (OXBOW_API_KEY) keeps it out of the shell's history")
    .option("--json", "print language, duration and segments as JSON")
    .action((file: string, options: TranscribeOptions) => transcribe(file, options, env));
}

async function transcribe(file: string, options: TranscribeOptions, env: Env): Promise<void> {
  const { language, prompt, words, translate, stream } = options;
  const json = options.json || options.format === "json";
  if (translate && (language || words || stream)) {
    throw wrong("--translate goes with none of --language, --words and --stream.");
  }
  if (words && !json) throw wrong("--words goes with --json, which says when each word is said.");
  if (stream && (json || options.format !== "text")) throw wrong("--stream prints text: it goes with no other format.");
  const bytes = await bytesOf(file);
  const ability = translate ? "translation" : "transcription";
  const form = new FormData();
  form.append("model", await modelFor(ability, options.model, options, env));
  // The server goes by the bytes; a pipe has no name that could say otherwise.
  form.append("file", new File([bytes], file === "-" ? "audio" : basename(file)));
  const format = json ? "verbose_json" : options.format;
  form.append("response_format", stream ? "text" : format);
  if (language !== undefined) form.append("language", language);
  if (prompt !== undefined) form.append("prompt", prompt);
  if (stream) form.append("stream", "true");
  if (words) for (const each of ["segment", "word"]) form.append("timestamp_granularities[]", each);
  const answer = await postCall(`/audio/${ability}s`, form, options, env);
  if (stream) await printAsItComes(answer);
  else if (json) printJson(JSON.parse(await textOf(answer)));
  else process.stdout.write(await textOf(answer));
}

function wrong(text: string): CommandError {
  return new CommandError(text, EXIT.usage);
}

async function printAsItComes(answer: Response): Promise<void> {
  const reader = createSseReader();
  let done = false;
  for await (const piece of piecesOf(answer)) {
    for (const { data } of reader.push(piece)) {
      if (data === "[DONE]") continue;
      const event = JSON.parse(data) as { type?: string; delta?: string; error?: { message: string } };
      if (event.error) throw new CommandError(`The server broke off: ${event.error.message}`);
      if (event.type === "transcript.text.delta") process.stdout.write(event.delta ?? "");
      done ||= event.type === "transcript.text.done";
    }
  }
  if (done) process.stdout.write("\n");
  else throw new CommandError("The server broke off before the end.");
}
