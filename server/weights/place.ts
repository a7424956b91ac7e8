// Where the hub is, who we are to it, and where files from it are kept: in the cache that all programs of the machine which
// speak to the hub share, found through the same variables.
//
// Sources, read 2026-11-21: huggingface.co/docs/hub/local-cache, huggingface.co/docs/huggingface_hub/package_reference/environment_variables.

import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { WeightsError } from "./errors.ts";

export interface Place {
  /** Without a slash at the end. */
  endpoint: string;
  /** Absolute path of the shared cache. */
  cache: string;
  token: string | undefined;
  /** HF_HUB_OFFLINE: the hub must not be asked. */
  offline: boolean;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** @throws WeightsError for an endpoint that is no address */
export function placeOf(env: Environment): Place {
  const home = env.HF_HOME || join(env.XDG_CACHE_HOME || join(env.HOME || homedir(), ".cache"), "huggingface");
  return {
    endpoint: endpointOf(env.HF_ENDPOINT || "https://huggingface.co"),
    cache: resolve(untilde(env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || join(home, "hub"), env)),
    token: tokenOf(env, untilde(home, env)),
    offline: /^(1|true|on|yes)$/i.test(env.HF_HUB_OFFLINE ?? ""),
  };
}

function endpointOf(text: string): string {
  if (/^https?:\/\//.test(text) && URL.canParse(text)) return text.replace(/\/+$/, "");
  throw new WeightsError("unknown", `HF_ENDPOINT must look like https://huggingface.co, but is '${text}'`);
}

/** The variable comes before the file that a login leaves. */
function tokenOf(env: Environment, home: string): string | undefined {
  const token = (
    env.HF_TOKEN ||
    env.HUGGING_FACE_HUB_TOKEN ||
    readText(env.HF_TOKEN_PATH || join(home, "token"))
  ).trim();
  if (token === "") return undefined;
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  // A secret is never quoted.
  throw new WeightsError(
    "unknown",
    "The hub's token (HF_TOKEN, or the file that a login left) holds a space or a control character.",
  );
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // nobody has logged in
  }
}

function untilde(path: string, env: Environment): string {
  return path === "~" || path.startsWith("~/") ? join(env.HOME || homedir(), path.slice(1)) : path;
}
