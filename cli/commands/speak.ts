// `oxbow speak`: a text as speech, into a file or a pipe, as it is made.

import { open, rename, rm } from "node:fs/promises";
import { SPEECH_FORMATS, type SpeechFormat } from "@oxbow/contract";
import { type Command, InvalidArgumentError, Option } from "commander";
import { type Asker, modelFor, postCall } from "../ask.ts";
import { CommandError, EXIT } from "../exit.ts";
import type { Env } from "../home.ts";
import { bytesOf } from "../input.ts";
import { say } from "../output.ts";

interface SpeakOptions extends Asker {
  model?: string;
  voice: string;
  format?: SpeechFormat;
  speed?: number;
  instructions?: string;
  output?: string;
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
    .action((text: string | undefined, options: SpeakOptions) => speak(text, options, env));
}

async function speak(text: string | undefined, options: SpeakOptions, env: Env): Promise<void> {
  const { voice, speed, instructions } = options;
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
  const format = options.format ?? formatOf(output);
  const input = text ?? new TextDecoder().decode(await bytesOf("-")).trim();
  const body = {
    ...{ model: await modelFor("speech", options.model, options, env), input, voice, response_format: format },
    ...(speed === undefined ? {} : { speed }),
    ...(instructions === undefined ? {} : { instructions }),
  };
  const answer = await postCall("/audio/speech", body, options, env);
  if (output === "-") {
    for await (const piece of answer.body ?? []) await write(piece);
    return;
  }
  const bytes = await save(answer, output);
  say(`${output}: ${bytes} bytes of ${format}.`);
}

function write(piece: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    if (process.stdout.write(piece)) resolve();
    else process.stdout.once("drain", () => resolve());
  });
}

/** A file that is there is whole. @returns its bytes */
async function save(answer: Response, output: string): Promise<number> {
  const part = `${output}.part`;
  const file = await open(part, "w").catch((cause: Error) => {
    throw new CommandError(`${output}: it cannot be written (${(cause as NodeJS.ErrnoException).code}).`);
  });
  let size = 0;
  try {
    for await (const piece of answer.body ?? []) {
      await file.write(piece);
      size += piece.length;
    }
    await file.close();
    await rename(part, output);
  } catch (cause) {
    await file.close().catch(() => {});
    await rm(part, { force: true });
    throw new CommandError(`The speech broke off, and nothing was written: ${(cause as Error).message}`);
  }
  return size;
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
