// `oxbow pull`: brings the weights of a model from the hub. Everything about how it goes is on standard error; the path of
// what was pulled, on standard output.

import type { Command } from "commander";
import { CommandError, EXIT } from "../exit.ts";
import type { Env } from "../home.ts";
import { print, say } from "../output.ts";
import { createBars, createJsonLines, createLines, type PullView } from "../pull-view.ts";
import { openWeights } from "../weights.ts";

interface PullOptions {
  format?: "safetensors" | "gguf" | "onnx" | "pytorch";
  home?: string;
  json?: boolean;
}

export function addPull(program: Command, env: Env): void {
  program
    .command("pull <model>")
    .description("bring a model's weights from the Hugging Face hub: of the catalogue, or owner/name[:file]")
    .option("--format <format>", "safetensors, gguf, onnx or pytorch, where there are several")
    .option("--home <folder>", "where it is noted (OXBOW_HOME, ~/.oxbow)")
    .option("--json", "print events as JSON lines")
    .action((model: string, options: PullOptions) => pull(model, options, env));
}

async function pull(model: string, options: PullOptions, env: Env): Promise<void> {
  const weights = await openWeights(env, options.home);
  const interrupted = new AbortController();
  const stop = () => interrupted.abort(new CommandError(INTERRUPTED, EXIT.interrupted));
  process.once("SIGINT", stop).once("SIGTERM", stop);
  const view = viewOf(options);
  try {
    const path = await weights.pull(model, {
      format: options.format,
      signal: interrupted.signal,
      onProgress: view.event,
    });
    view.end();
    print(options.json ? JSON.stringify({ type: "pulled", path }) : path);
  } catch (error) {
    view.end();
    throw error;
  }
}

const INTERRUPTED = "Interrupted. What has arrived is kept: the same command goes on from there.";

function viewOf({ json }: PullOptions): PullView {
  if (json) return createJsonLines(print);
  if (!process.stderr.isTTY) return createLines(say, () => performance.now());
  return createBars({
    write: (text) => void process.stderr.write(text),
    columns: () => process.stderr.columns ?? 80,
    now: () => performance.now(),
  });
}
