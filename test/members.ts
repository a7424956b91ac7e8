// Accounts on the plans that people buy, made as an operator makes them: with the command, beside a server that runs.

import { join } from "node:path";
import { ROOT } from "./harness.ts";

/**
 * Makes an account and a key of its own.
 * @returns the key
 */
export async function makeMember(home: string, name: string, plan: string): Promise<string> {
  await oxbow(home, ["accounts", "create", name, "--plan", plan]);
  const made = await oxbow(home, ["keys", "create", "--account", name, "--json"]);
  return (JSON.parse(made) as { key: string }).key;
}

/** Runs the command, and returns what it prints. */
export async function oxbow(home: string, args: string[]): Promise<string> {
  const env = { ...process.env, OXBOW_HOME: home };
  const child = Bun.spawn([process.execPath, join(ROOT, "cli/main.ts"), ...args], { env, stderr: "pipe" });
  const [out, problem] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if ((await child.exited) !== 0) throw new Error(`oxbow ${args.join(" ")}: ${problem}`);
  return out;
}
