// What a stream of image events must be: each event named twice and alike, of a shape that the API has, and a completed
// image, or an error, at its end.

import { type SchemaName, violationsOf } from "./oracle/oracle.ts";

/** @param whole whether the stream was seen to its end; @returns one line for each violation */
export function imageStreamViolations(raw: string, whole: boolean): string[] {
  const blocks = raw.replaceAll(/^:.*\n/gm, "").split("\n\n");
  const rest = blocks.pop();
  if (whole && rest !== "") return ["a stream that ends in the middle of an event"];
  const found: string[] = [];
  let last = "";
  for (const block of blocks) {
    const [, name, data] = /^(?:event: (\S+)\n)?data: (\{.*\})$/.exec(block) ?? [];
    if (data === undefined) {
      found.push(`no event: ${block.slice(0, 100)}`);
      continue;
    }
    const event = JSON.parse(data) as { type?: string; error?: object };
    last = event.error ? "error" : (event.type ?? "");
    if (event.error) found.push(...violationsOf("ErrorResponse", event));
    else if (name !== event.type) found.push(`an event called ${name} of type ${event.type}`);
    else found.push(...violationsOf(schemaOf(last), event));
  }
  if (whole && !/\.completed$|^error$/.test(last)) found.push(`a stream that ends with ${last}`);
  return found;
}

function schemaOf(type: string): SchemaName {
  return type.startsWith("image_edit.") ? "ImageEditStreamEvent" : "ImageGenStreamEvent";
}
