// The process of a worker: reads its configuration, listens from its first moment on, loads, drains, and says why when it
// cannot go on.

import { rmSync } from "node:fs";
import { basename } from "node:path";
import { EXIT_MODEL_UNUSABLE, type WorkerConfig, type WorkerModel } from "@oxbow/contract";
import { type Log, UnusableModel } from "./errors.ts";
import { type Served, serve } from "./server.ts";

export interface Start<O> {
  config: WorkerConfig;
  model: WorkerModel & { file: string };
  options: O;
  log: Log;
  /** 0 to 1, while the model is being loaded. */
  progress(value: number): void;
  /** Ends the process at once, and takes its socket away. */
  quit(code: number): never;
}

export interface Program<O extends { drainMsMax: number }> {
  /** Names of metrics begin with it: `oxbow_<name>_`. */
  name: string;
  /** Absent: to standard error. */
  log?: Log;
  /** @throws Error naming the option that is unknown or wrong */
  readOptions(given: Record<string, unknown>): O;
  /** Loads the model. @throws UnusableModel; whatever else it throws is a crash */
  load(start: Start<O>): Promise<Served>;
}

/** Runs the program; the process ends with its parent, with SIGTERM, or with a model that cannot be hosted. */
export function runWorker<O extends { drainMsMax: number }>(program: Program<O>): void {
  const log = program.log ?? ((line) => void process.stderr.write(`${line}\n`));
  run(program, log).catch((error: unknown) => {
    const file = nameOfFile();
    if (error instanceof UnusableModel) {
      log(`fatal: ${file} ${error.message}`);
      process.exit(EXIT_MODEL_UNUSABLE);
    }
    log(`${file} could not be loaded: ${error instanceof Error ? error.message : String(error)}`);
    process.exit(1);
  });
}

async function run<O extends { drainMsMax: number }>(program: Program<O>, log: Log): Promise<void> {
  const given = readConfig(process.argv[2], program.readOptions);
  const { socket } = given.config;
  const quit = (code: number): never => {
    rmSync(socket, { force: true });
    process.exit(code);
  };
  exitWithParent();
  rmSync(socket, { force: true });
  const server = serve({ socket, model: given.model, program: program.name, log });
  process.on("SIGTERM", () => {
    const leave = () => quit(0);
    setTimeout(leave, given.options.drainMsMax);
    server.drain().then(leave, leave);
  });
  server.open(await program.load({ ...given, log, progress: server.progress, quit }));
}

function readConfig<O>(text: string | undefined, readOptions: (given: Record<string, unknown>) => O) {
  const config = JSON.parse(text ?? "null") as WorkerConfig | null;
  if (!config) throw new UnusableModel("needs its configuration as the first argument");
  const [model, ...others] = config.models;
  if (!model || others.length > 0) {
    throw new UnusableModel(`cannot be hosted: a worker takes one, not ${config.models.length}`);
  }
  if (!model.file) throw new UnusableModel(`cannot be hosted: the entry of ${model.id} names no file`);
  try {
    return { config, model: { ...model, file: model.file }, options: readOptions(config.options) };
  } catch (cause) {
    throw new UnusableModel(`cannot be hosted: ${(cause as Error).message}`);
  }
}

/** The parent holds the other end of standard input: its end is the parent's. */
function exitWithParent(): void {
  process.stdin.on("end", () => process.exit(0));
  process.stdin.on("error", () => process.exit(0));
  process.stdin.resume();
}

function nameOfFile(): string {
  try {
    const config = JSON.parse(process.argv[2]!) as WorkerConfig;
    return basename(config.models[0]!.file!);
  } catch {
    return "the model";
  }
}
