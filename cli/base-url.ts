// The server that a command calls: where the caller says, or where `oxbow up` would listen.

import { CommandError, EXIT } from "./exit.ts";
import type { Env } from "./home.ts";

/** Without a slash at the end, and with the `/v1` that people leave out. */
export async function baseUrlOf(url: string | undefined, env: Env): Promise<string> {
  const given = url || env.OXBOW_BASE_URL;
  if (given === undefined) {
    const { loadPlace } = await import("../server/config.ts");
    const { host, port } = loadPlace({ env });
    const reached = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host;
    return `http://${reached.includes(":") ? `[${reached}]` : reached}:${port}/v1`;
  }
  if (!/^https?:/.test(given) || !URL.canParse(given)) {
    throw new CommandError("The base URL must look like http://127.0.0.1:8080/v1.", EXIT.usage);
  }
  const base = given.replace(/\/+$/, "");
  return base.endsWith("/v1") ? base : `${base}/v1`;
}
