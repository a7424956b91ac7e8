// The command `oxbow`: finds the subcommand, and turns whatever it throws into a line and an exit code. Data goes to
// standard output, everything else to standard error.

import { Command, CommanderError } from "commander";
import project from "../package.json" with { type: "json" };
import { addAccounts } from "./commands/accounts.ts";
import { addDeploy } from "./commands/deploy.ts";
import { addDetect } from "./commands/detect.ts";
import { addEmbed } from "./commands/embed.ts";
import { addEngines } from "./commands/engines.ts";
import { addImage } from "./commands/image.ts";
import { addKeys } from "./commands/keys.ts";
import { addMirror } from "./commands/mirror.ts";
import { addModels } from "./commands/models.ts";
import { addPlans } from "./commands/plans.ts";
import { addPull } from "./commands/pull.ts";
import { addReplay } from "./commands/replay.ts";
import { addSpeak } from "./commands/speak.ts";
import { addSplit } from "./commands/split.ts";
import { addTraffic } from "./commands/traffic.ts";
import { addTranscribe } from "./commands/transcribe.ts";
import { addUp } from "./commands/up.ts";
import { addUsage } from "./commands/usage.ts";
import { addWeights } from "./commands/weights.ts";
import { EXIT, exitCodeOf, lineOf } from "./exit.ts";
import { say } from "./output.ts";

const program = new Command("oxbow")
  .description("A self-hosted AI inference platform that speaks the OpenAI API.")
  .version(project.version)
  .helpCommand("help [command]", "show help for a command")
  .showHelpAfterError("(--help shows what there is)")
  .exitOverride();

/** In the order in which help shows them. */
const COMMANDS = [
  addUp,
  addKeys,
  addAccounts,
  addPlans,
  addEngines,
  addModels,
  addEmbed,
  addDetect,
  addImage,
  addTranscribe,
  addSpeak,
  addDeploy,
  addPull,
  addWeights,
  addUsage,
  addTraffic,
  addSplit,
  addMirror,
  addReplay,
];
for (const add of COMMANDS) add(program, process.env);

// Whoever reads the output may have had enough of it, as `head` has: then there is nothing left to do.
process.stdout.on("error", (error: Error & { code?: string }) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(EXIT.ok);
});
// A server that finishes its calls does so also when whoever it talked to is gone.
process.stderr.on("error", (error: Error & { code?: string }) => {
  if (error.code !== "EPIPE" && error.code !== "EIO") throw error;
});

try {
  await program.parseAsync();
} catch (error) {
  // Commander has said what it had to say, and help that was asked for is no failure.
  if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? EXIT.ok : EXIT.usage);
  say(`oxbow: ${lineOf(error)}`);
  // A start that failed half-way may have left something running that would keep the process alive.
  process.exit(exitCodeOf(error));
}
