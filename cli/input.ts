// What is piped into a command: lines, or bytes.

import { CommandError, EXIT } from "./exit.ts";

/** Lines of standard input as they come, without their ends. */
export async function* linesIn(): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const piece of Bun.stdin.stream()) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split("\n");
    rest = lines.pop()!;
    for (const line of lines) yield line.replace(/\r$/, "");
  }
  rest += decoder.decode();
  if (rest !== "") yield rest.replace(/\r$/, "");
}

/**
 * A file, or standard input for `-`.
 * @throws CommandError naming what cannot be read
 */
export async function bytesOf(path: string): Promise<Uint8Array<ArrayBuffer>> {
  if (path === "-") return pipedIn();
  try {
    return (await Bun.file(path).bytes()) as Uint8Array<ArrayBuffer>;
  } catch (cause) {
    const code = (cause as { code?: string }).code;
    const why = code === "ENOENT" ? "there is no such file" : `it cannot be read (${code ?? cause})`;
    throw new CommandError(`${path}: ${why}.`, EXIT.usage);
  }
}

/** @throws CommandError when nothing is piped in */
async function pipedIn(): Promise<Uint8Array<ArrayBuffer>> {
  if (process.stdin.isTTY) throw new CommandError("Standard input is a terminal: pipe something in.", EXIT.usage);
  const bytes = (await Bun.stdin.bytes()) as Uint8Array<ArrayBuffer>;
  if (bytes.length === 0) throw new CommandError("Standard input is empty.", EXIT.usage);
  return bytes;
}

/** A text that is piped in, without white space around it. @throws CommandError when there is none */
export async function textIn(): Promise<string> {
  const text = new TextDecoder().decode(await pipedIn()).trim();
  if (text === "") throw new CommandError("Standard input is empty.", EXIT.usage);
  return text;
}
