// How a name that comes out of a file is shown to the operator.

/** Shortened and printable, for a line of a log. */
export function show(name: string): string {
  return `'${name.slice(0, 80).replace(/[^\x20-\x7e]/g, "?")}'`;
}
