// `oxbow detect`: what is in an image, and where; and the image with boxes drawn around it.

import type { Detection, DetectionAnswer } from "@oxbow/contract";
import { type Command, InvalidArgumentError } from "commander";
import { type Asker, askCall, modelFor } from "../ask.ts";
import { CommandError } from "../exit.ts";
import type { Env } from "../home.ts";
import { bytesOf } from "../input.ts";
import { print, printJson, printTable, say } from "../output.ts";
import { countOf, listOf } from "../values.ts";

interface DetectOptions extends Asker {
  model?: string;
  threshold?: number;
  max?: number;
  classes?: string[];
  output?: string;
  json?: boolean;
}

export function addDetect(program: Command, env: Env): void {
  program
    .command("detect <image>")
    .description("find objects in an image: a file, - for standard input, or an address that the server fetches")
    .option("-o, --output <file>", "write the image with the boxes drawn in: .png, .jpg or .webp")
    .option("--model <model>", "by default the first that the server has for it")
    .option("--threshold <score>", "least score, 0 to 1", scoreOf)
    .option("--max <count>", "no more than the best so many", countOf)
    .option("--classes <names>", "only these, with commas between them", listOf)
    .option("--url <url>", "base URL of the server (OXBOW_BASE_URL, or where `oxbow up` would listen)")
    .option("--key <key>", "API key; the environment (OXBOW_API_KEY) keeps it out of the shell's history")
    .option("--json", "print the server's answer as JSON")
    .action((image: string, options: DetectOptions) => detect(image, options, env));
}

async function detect(image: string, options: DetectOptions, env: Env): Promise<void> {
  const { output, json } = options;
  const isAddress = /^https?:\/\//i.test(image);
  const { writeBoxes, formatOf } = await import("../boxes.ts");
  if (output !== undefined) formatOf(output);
  const bytes = isAddress ? null : await bytesOf(image);
  const answer = await askCall<DetectionAnswer>(
    "/images/detections",
    await bodyOf(image, bytes, options, env),
    options,
    env,
  );
  if (output !== undefined) {
    await writeBoxes(bytes ?? (await imageAt(image)), answer, output);
    say(`${answer.data.length} boxes are drawn in ${output}.`);
  }
  if (json) printJson(answer);
  else if (answer.data.length > 0) printTable(["LABEL", "SCORE", "X", "Y", "WIDTH", "HEIGHT"], answer.data.map(rowOf));
  else print("nothing found");
}

/** What the server has looked at, once more: the boxes are drawn here. */
async function imageAt(address: string): Promise<Uint8Array> {
  try {
    const answer = await fetch(address, { signal: AbortSignal.timeout(FETCH_MS_MAX) });
    if (answer.ok) return await answer.bytes();
  } catch {
    // nobody there, or it broke off: it is the same to whoever wanted the boxes drawn
  }
  throw new CommandError(`${address} cannot be fetched from here, so the boxes are not drawn.`);
}

const FETCH_MS_MAX = 30_000;

async function bodyOf(image: string, bytes: Uint8Array<ArrayBuffer> | null, options: DetectOptions, env: Env) {
  const { threshold, max, classes } = options;
  const model = await modelFor("detection", options.model, options, env);
  if (bytes === null) {
    return {
      ...{ model, image },
      ...(threshold === undefined ? {} : { threshold }),
      ...(max === undefined ? {} : { max_detections: max }),
      ...(classes === undefined ? {} : { classes }),
    };
  }
  const form = new FormData();
  form.append("model", model);
  if (threshold !== undefined) form.append("threshold", String(threshold));
  if (max !== undefined) form.append("max_detections", String(max));
  for (const name of classes ?? []) form.append("classes[]", name);
  form.append("image", new File([bytes], "image"));
  return form;
}

function rowOf({ label, score, box }: Detection): string[] {
  const { x, y, width, height } = box;
  return [label, score.toFixed(2), ...[x, y, width, height].map((value) => String(Math.round(value)))];
}

/** @throws InvalidArgumentError */
function scoreOf(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value >= 0 && value <= 1) return value;
  throw new InvalidArgumentError("It must be a number from 0 to 1.");
}
