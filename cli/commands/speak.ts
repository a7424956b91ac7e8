// `oxbow speak`: a text as speech, into a file or a pipe, as it is made.

import { SPEECH_FORMATS, type SpeechFormat } from "@oxbow/contract";
import { type Command, InvalidArgumentError, Option } from "commander";
import { type Asker, modelFor, piecesOf, postCall } from "../ask.ts";
import { CommandError, EXIT } from "../exit.ts";
import type { Env } from "../home.ts";
import { textIn } from "../input.ts";
import { printJson, say, writeFile } from "../output.ts";

interface SpeakOptions extends Asker {
  model?: string;
  voice: string;
  format?: SpeechFormat;
  speed?: number;
  instructions?: string;
  output?: string;
  json?: boolean;
}

export function addSpeak(program: Command, env: Env): void {
  program
    .command("speak [text]")
    .description("say a text; without one, what is piped in")
    .option(
      "-o, --output <file>",
      "where the sound goes: its ending says the format; `-`, or none in a pipe, is standard output",
    )
    .option("--model <model>", "by default the first that the server has for it")
    .option("--voice <voice>", "whose voice", "alloy")
    .addOption(new Option("--format <format>", "mp3 when nothing says otherwise").choices([...SPEECH_FORMATS]))
    .option("--speed <factor>", "0.25 to 4", speedOf)
    .option("--instructions <text>", "how to say it, with models that can be told")
    .option("--url <url>", "base URL of the server (OXBOW_BASE_URL, or where `oxbow up` would listen)")
    .option("--key <key>", "API key; the environment (OXBOW_API_KEY) keeps it out of the shell's history")
    .option("--json", "print the name of the file, its format and its bytes as JSON")
    .action((text: string | undefined, options: SpeakOptions) => speak(text, options, env));
}

async function speak(text: string | undefined, options: SpeakOptions, env: Env): Promise<void> {
  const { voice, speed, instructions, json } = options;
  const output = options.output ?? (process.stdout.isTTY ? undefined : "-");
  if (text === undefined && process.stdin.isTTY) {
    throw new CommandError("Give a text, or pipe one in: oxbow speak < text.txt", EXIT.usage);
  }
  if (output === undefined) {
    throw new CommandError(
      "Sound is nothing for a terminal: say where it goes with -o speech.mp3, or pipe it.",
      EXIT.usage,
    );
  }
  if (output === "-" && json) {
    throw new CommandError("Standard output takes the sound and nothing else: name a file with -o.", EXIT.usage);
  }
  if (text?.trim() === "") throw new CommandError("The text is empty: there is nothing to say.", EXIT.usage);
  const format = options.format ?? formatOf(output);
  const input = text ?? (await textIn());
  const body = {
    ...{ model: await modelFor("speech", options.model, options, env), input, voice, response_format: format },
    ...(speed === undefined ? {} : { speed }),
    ...(instructions === undefined ? {} : { instructions }),
  };
  const interrupted = new AbortController();
  const stop = () => interrupted.abort(new CommandError("Interrupted.", EXIT.interrupted));
  process.once("SIGINT", stop).once("SIGTERM", stop);
  const answer = await postCall("/audio/speech", body, options, env, interrupted.signal);
  const pieces = piecesOf(answer);
  if (output === "-") {
    for await (const piece of pieces) await write(piece);
    return;
  }
  const bytes = await writeFile(output, pieces);
  if (json) printJson({ file: output, format, bytes });
  else say(`${output}: ${bytes} bytes of ${format}.`);
}

function write(piece: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    if (process.stdout.write(piece)) resolve();
    else process.stdout.once("drain", () => resolve());
  });
}

/** @throws CommandError for an ending that is no format */
function formatOf(output: string): SpeechFormat {
  if (output === "-") return "mp3";
  const ending = /\.([a-z0-9]+)$/i.exec(output)?.[1]?.toLowerCase();
  const found = SPEECH_FORMATS.find((format) => format === (ending === "ogg" ? "opus" : ending));
  if (found) return found;
  throw new CommandError(
    `${output}: name it .${SPEECH_FORMATS.join(", .")}, or say the format with --format.`,
    EXIT.usage,
  );
}

/** @throws InvalidArgumentError */
function speedOf(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value >= 0.25 && value <= 4) return value;
  throw new InvalidArgumentError("It must be a number from 0.25 to 4.");
}
