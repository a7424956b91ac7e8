// `oxbow mirror`: how the answers of a second engine compare with those that callers got.

import type { Command } from "commander";
import type { MirrorReport } from "../../server/traffic/traffic.ts";
import { printComparison } from "../comparison.ts";
import type { Env } from "../home.ts";
import { say } from "../output.ts";
import { addReport } from "../traffic-report.ts";

export function addMirror(program: Command, env: Env): void {
  const mirror = program.command("mirror").description("compare a second engine with the first (traffic.yaml)");
  addReport<MirrorReport>(mirror, env, {
    description: "show how often the answers are the same, where they part, and which of them failed",
    read: async (home, since) => (await import("../../server/traffic/traffic.ts")).reportMirrors(home, since),
    show(reports) {
      if (reports.length === 0) say("No call was mirrored: see `mirrors` in traffic.yaml.");
      printComparison(reports);
    },
  });
}
