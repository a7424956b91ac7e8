// Where a command's words go: data to standard output, for programs; everything else to standard error, for people.

import { open, rename, rm, stat } from "node:fs/promises";
import { CommandError } from "./exit.ts";

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}

export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

/**
 * Writes a file piece by piece: under another name until it is whole, so that a file that is there is one.
 * @returns its bytes
 * @throws CommandError naming the file when it cannot be written; what `pieces` threw
 */
export async function writeFile(path: string, pieces: AsyncIterable<Uint8Array>): Promise<number> {
  // A device or a pipe is written to, and not put in the place of.
  const there = await stat(path).catch(() => null);
  const part = there !== null && !there.isFile() ? path : `${path}.part`;
  const failed = (cause: unknown) => new CommandError(`${path}: it cannot be written (${codeOf(cause)}).`);
  const file = await open(part, "w").catch((cause: unknown) => {
    throw failed(cause);
  });
  let size = 0;
  try {
    for await (const piece of pieces) {
      await file.writeFile(piece).catch((cause: unknown) => {
        throw failed(cause);
      });
      size += piece.length;
    }
    await file.close();
    if (part !== path) await rename(part, path);
  } catch (error) {
    await file.close().catch(() => {});
    if (part !== path) await rm(part, { force: true });
    throw error instanceof CommandError ? error : failed(error);
  }
  return size;
}

function codeOf(cause: unknown): string {
  return (cause as { code?: string }).code ?? String(cause);
}

/** Rows under their headings, as wide as they need to be. */
export function printTable(headings: string[], rows: string[][]): void {
  const table = [headings, ...rows];
  const widths = headings.map((_, at) => Math.max(...table.map((row) => widthOf(row[at]!))));
  const lines = table.map((row) => row.map((text, at) => text + " ".repeat(widths[at]! - widthOf(text))).join("  "));
  print(lines.map((line) => line.trimEnd()).join("\n"));
}

/** Columns on a terminal: many characters are two wide. */
function widthOf(text: string): number {
  return Bun.stringWidth(text);
}
