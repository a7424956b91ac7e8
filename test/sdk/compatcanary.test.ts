// A scanner by others, which judges any server that claims this wire.

import { expect, test } from "bun:test";
import { KEY } from "../harness.ts";
import { MODEL, testTraffic, useServer } from "../suite.ts";

interface Report {
  score: number;
  results: { id: string; status: string }[];
}

const server = useServer();

test("compatcanary scores 100 in its widest profile", async () => {
  const program = Bun.resolveSync("compatcanary", import.meta.dir).replace(/index\.js$/, "cli.js");
  const flags = ["--model", MODEL, "--profile", "modern", "--format", "json", "--fail-on", "any"];
  const child = Bun.spawn([process.execPath, program, "scan", "--base-url", server().baseUrl, ...flags], {
    env: { PATH: process.env.PATH, OPENAI_API_KEY: KEY },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  const report = (await new Response(child.stdout).json()) as Report;
  const notPassed = report.results.filter((result) => result.status !== "pass");
  expect(notPassed).toEqual([]);
  expect(report.score).toBe(100);
  expect(await child.exited).toBe(0);
});

testTraffic(server);
