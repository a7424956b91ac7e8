// `oxbow image`: an image painted from words, or one that is changed by them.

import type { ImagesAnswer } from "@oxbow/contract";
import { type Command, InvalidArgumentError, Option } from "commander";
import { type Asker, askCall, modelFor } from "../ask.ts";
import { CommandError, EXIT } from "../exit.ts";
import type { Env } from "../home.ts";
import { bytesOf, textIn } from "../input.ts";
import { printJson, say, writeFile } from "../output.ts";
import { countOf } from "../values.ts";

interface ImageOptions extends Asker {
  output?: string;
  n?: number;
  size?: string;
  quality?: string;
  seed?: number;
  edit?: string;
  mask?: string;
  model?: string;
  json?: boolean;
}

const FORMATS: Record<string, "png" | "jpeg" | "webp"> = { png: "png", jpg: "jpeg", jpeg: "jpeg", webp: "webp" };

export function addImage(program: Command, env: Env): void {
  program
    .command("image [prompt...]")
    .description("paint an image; without a prompt, what standard input says")
    .option("-o, --output <file>", "where to: .png, .jpg or .webp; - for standard output, which a pipe means anyway")
    .option("-n <count>", "so many images, in files that are numbered", countOf)
    .option("--size <size>", "such as 1024x1024; by default what the model likes best")
    .addOption(new Option("--quality <quality>", "how long to work on it").choices(["low", "medium", "high"]))
    .option("--seed <number>", "the same seed and prompt give the same image, where the engine can", seedOf)
    .option("--edit <image>", "start from this image: a file, or - for standard input")
    .option("--mask <image>", "of --edit: only what is transparent in it is painted anew")
    .option("--model <model>", "by default the first that the server has for it")
    .option("--url <url>", "base URL of the server (OXBOW_BASE_URL, or where `oxbow up` would listen)")
    .option("--key <key>", "API key; the environment (OXBOW_API_KEY) keeps it out of the shell's history")
    .option("--json", "print the names of the files and what was counted as JSON")
    .action((prompt: string[], options: ImageOptions) => image(prompt, options, env));
}

async function image(words: string[], options: ImageOptions, env: Env): Promise<void> {
  const { n = 1, json, edit } = options;
  const output = options.output ?? (process.stdout.isTTY ? undefined : "-");
  if (output === undefined) throw wrong("Say where the image goes: -o image.png, or a pipe.");
  if (output === "-" && (n > 1 || json))
    throw wrong("Standard output takes one image and nothing else: name a file with -o.");
  if (options.mask !== undefined && edit === undefined) throw wrong("--mask belongs to --edit.");
  const format = formatOf(output);
  const prompt = await promptOf(words, edit);
  const model = await modelFor(edit === undefined ? "image_generation" : "image_edits", options.model, options, env);
  const { size, quality, seed } = options;
  const fields = { model, prompt, n, size, quality, seed, response_format: "b64_json", output_format: format };
  const answer =
    edit === undefined
      ? await askCall<ImagesAnswer>("/images/generations", fields, options, env)
      : await askCall<ImagesAnswer>("/images/edits", await formOf(fields, edit, options.mask), options, env);
  const files: string[] = [];
  for (const [at, { b64_json }] of (answer.data ?? []).entries()) {
    if (!b64_json) throw new CommandError("The server answered with something that holds no image.");
    const file = n === 1 ? output : numbered(output, at + 1);
    const bytes = Buffer.from(b64_json, "base64");
    if (file === "-") await Bun.write(Bun.stdout, bytes);
    else await writeFile(file, inOnePiece(bytes));
    files.push(file);
  }
  if (json) printJson({ model, files, size: answer.size, usage: answer.usage });
  else if (output !== "-") say(files.join("\n"));
}

async function promptOf(words: string[], edit: string | undefined): Promise<string> {
  if (words.length > 0) {
    const prompt = words.join(" ").trim();
    if (prompt === "") throw wrong("The prompt is empty: say what to paint.");
    return prompt;
  }
  if (process.stdin.isTTY || edit === "-")
    throw wrong('Say what to paint: oxbow image "a lighthouse at night" -o image.png');
  return await textIn();
}

async function formOf(fields: Record<string, unknown>, edit: string, mask: string | undefined): Promise<FormData> {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) form.set(name, String(value));
  form.set("image", new File([await bytesOf(edit)], "image"));
  if (mask !== undefined) form.set("mask", new File([await bytesOf(mask)], "mask"));
  return form;
}

/** By the name of the file; PNG where it has none. */
function formatOf(output: string): "png" | "jpeg" | "webp" {
  if (output === "-") return "png";
  const format = FORMATS[output.split(".").at(-1)!.toLowerCase()];
  if (format === undefined) throw wrong(`${output}: images are written as .png, .jpg or .webp.`);
  return format;
}

/** `out.png` as `out-2.png`. */
function numbered(output: string, at: number): string {
  return output.replace(/(\.\w+)$/, `-${at}$1`);
}

async function* inOnePiece(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}

function wrong(text: string): CommandError {
  return new CommandError(text, EXIT.usage);
}

/** @throws InvalidArgumentError */
function seedOf(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It must be a whole number from 0 on.");
}
