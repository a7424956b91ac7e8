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
  const widths = headings.map((heading, at) => Math.max(...[heading, ...rows.map((row) => row[at]!)].map(widthOf)));
  for (const row of [headings, ...rows]) {
    print(
      row
        .map((text, at) => text + " ".repeat(widths[at]! - widthOf(text)))
        .join("  ")
        .trimEnd(),
    );
  }
}

/** Columns on a terminal: many characters are two wide. */
function widthOf(text: string): number {
  return Bun.stringWidth(text);
}
