// The one error that means: this model will never be served, however often one tries.

/** Why a file can never be loaded, in words for the operator. */
export class UnusableModel extends Error {
  override readonly name = "UnusableModel";
}

/** Names come out of the file: shortened and printable, for a line of a log. */
export function show(name: string): string {
  return `'${name.slice(0, 80).replace(/[^\x20-\x7e]/g, "?")}'`;
}
