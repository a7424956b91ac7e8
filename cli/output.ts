// Where a command's words go: data to standard output, for programs; everything else to standard error, for people.

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}

export function say(text: string): void {
  process.stderr.write(`${text}\n`);
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
