// `oxbow deploy`: prints how a server for a model is started. It starts nothing.

import { type Command, InvalidArgumentError, Option } from "commander";
import { asCommand, asEngine, asKubernetes, asSystemd, serviceName } from "../deploy/forms.ts";
import { vllmStart } from "../deploy/vllm.ts";
import { CommandError } from "../exit.ts";
import type { Env } from "../home.ts";
import { printJson, say } from "../output.ts";
import { countOf } from "../values.ts";

interface DeployOptions {
  as: "command" | "systemd" | "kubernetes";
  gpuMemory: number;
  gpus?: number;
  port: number;
  host?: string;
  sleep?: boolean;
  program: string;
  data?: string;
  json?: boolean;
}

export function addDeploy(program: Command, env: Env): void {
  program
    .command("deploy")
    .description("print how a server for a model is started")
    .command("vllm <model>")
    .description("vLLM for a model of the catalogue: the command, a systemd unit or a Kubernetes manifest")
    .addOption(
      new Option("--as <form>", "what is printed").choices(["command", "systemd", "kubernetes"]).default("command"),
    )
    .option("--gpu-memory <gigabytes>", "memory of one accelerator", gigabytesOf, 80)
    .option("--gpus <number>", "accelerators, in place of what the sizes ask for", countOf)
    .option("--port <number>", "port to listen on", countOf, 8000)
    .option("--host <address>", "address to listen on (127.0.0.1; in Kubernetes all)")
    .option("--sleep", "can be put to sleep, to share its accelerators with other models")
    .option("--program <path>", "where vllm is, for a unit", "/opt/vllm/bin/vllm")
    .option("--data <folder>", "models.yaml (OXBOW_DATA, the project's own)")
    .option("--json", "print arguments, environment and sizes as JSON")
    .action((model: string, options: DeployOptions) => deployVllm(model, options, env));
}

async function deployVllm(name: string, options: DeployOptions, env: Env): Promise<void> {
  const { loadConfig } = await import("../../server/config.ts");
  const { models } = loadConfig({ env, dataDir: options.data });
  const model = models.find(({ id, aliases }) => id === name || aliases.includes(name));
  if (!model) throw new CommandError(`'${name}' is no model of the catalogue (data/models.yaml).`);
  const { as, gpuMemory, gpus, port, sleep = false } = options;
  // A container is reached from outside of itself; who may is said beside it.
  const host = options.host ?? (as === "kubernetes" ? "0.0.0.0" : "127.0.0.1");
  const start = vllmStart(model, { gpuBytes: gpuMemory * 1e9, gpus, host, port, sleep });
  if (options.json) {
    const { model, ...rest } = start;
    printJson({ model: model.id, ...rest });
    return;
  }
  const forms = { command: asCommand, systemd: () => asSystemd(start, options.program), kubernetes: asKubernetes };
  process.stdout.write(forms[as](start));
  const reached = as === "kubernetes" ? serviceName(start) : "127.0.0.1";
  say(`\nThe gateway knows it by an entry in data/engines.yaml:\n\n${asEngine(start, reached, sleep)}`);
}

function gigabytesOf(text: string): number {
  const value = /^\d{1,4}(\.\d+)?$/.test(text) ? Number(text) : 0;
  if (value > 0) return value;
  throw new InvalidArgumentError("It must be a number of gigabytes.");
}
