// What `npm test` runs: style, types, every test of the repository, and the Python suite against a running server.
// Each part runs whatever became of the others; the last line says `N passed, N failed`.

import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { havePrograms } from "./debian.ts";
import { runPython } from "./python/run.ts";

interface Result {
  passed: number;
  failed: number;
}

const ROOT = join(import.meta.dir, "..");
/**
 * Two halves that take about as long, run side by side: tests wait more than they compute. Paths, so that nothing of node_modules
 * or of a developer's scratch folder is taken for a test.
 */
const HALVES = [["./test"], ["./packages", "./server", "./workers", "./cli", "./models", "./docs", "./bench"]];
/** Programs that tests of both halves use. They are looked for, and installed, once and before. */
const PROGRAMS = ["ffmpeg", "espeak-ng", "strace"];

/** One test, however slow the machine: far more than any needs. */
const TEST_MS_MAX = 60_000;

const parts: [name: string, run: () => Result | Promise<Result>][] = [
  ["style", () => tool("biome", "check", "--error-on-warnings", ".")],
  ["types", () => tool("tsc", "--noEmit")],
  ["tests", bunTests],
  ["python", runPython],
];

const sum: Result = { passed: 0, failed: 0 };
for (const [name, run] of parts) {
  console.log(`\n--- ${name}`);
  const startedMs = performance.now();
  const result = await attempt(run);
  sum.passed += result.passed;
  sum.failed += result.failed;
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  console.log(`--- ${name}: ${result.passed} passed, ${result.failed} failed, ${seconds} s`);
}
console.log(`\n${sum.passed} passed, ${sum.failed} failed`);
process.exit(sum.failed > 0 || sum.passed === 0 ? 1 : 0);

async function attempt(run: () => Result | Promise<Result>): Promise<Result> {
  try {
    return await run();
  } catch (error) {
    console.log(error instanceof Error ? error.message : String(error));
    return { passed: 0, failed: 1 };
  }
}

function tool(name: string, ...args: string[]): Result {
  return run([process.execPath, "--bun", "run", name, ...args]) === 0
    ? { passed: 1, failed: 0 }
    : { passed: 0, failed: 1 };
}

async function bunTests(): Promise<Result> {
  // What cannot be had is told by the tests that need it.
  for (const name of PROGRAMS) havePrograms(name);
  const folder = mkdtempSync(join(tmpdir(), "oxbow-junit-"));
  try {
    const [first, second] = HALVES.map((paths, index) => bunTest(paths, join(folder, String(index)), index === 0));
    const results = [await first!];
    // What it said, in one piece: lines of both at once could not be read.
    results.push(await second!);
    process.stdout.write(readFileSync(join(folder, "1.log")));
    return results.reduce((sum, { passed, failed }) => ({ passed: sum.passed + passed, failed: sum.failed + failed }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @param path of its report and its log, without their endings; @param shown whether what it says is printed as it says it */
async function bunTest(paths: string[], path: string, shown: boolean): Promise<Result> {
  const report = `${path}.xml`;
  const args = ["--reporter=junit", `--reporter-outfile=${report}`, `--timeout=${TEST_MS_MAX}`];
  const log = shown ? "inherit" : openSync(`${path}.log`, "w");
  const options = { cwd: ROOT, stdin: "ignore", stdout: log, stderr: log } as const;
  const code = await Bun.spawn([process.execPath, "test", ...args, ...paths], options).exited;
  const result = countsOf(readFileSync(report, "utf8"));
  // A file that could not even be loaded is in no count.
  return code !== 0 && result.failed === 0 ? { ...result, failed: 1 } : result;
}

/**
 * The totals in the head of a JUnit report. A test that was skipped or left for later counts as failed, unless its name says
 * why this machine cannot run it: then it counts as nothing.
 */
function countsOf(xml: string): Result {
  const head = xml.match(/<testsuites\b[^>]*>/)?.[0] ?? "";
  const count = (name: string) => Number(head.match(new RegExp(`\\b${name}="(\\d+)"`))?.[1] ?? 0);
  const excused = [...xml.matchAll(/<testcase name="([^"]*\(not run: [^"]*)"[^>]*>\s*<skipped/g)].map(
    ([, name]) => name!,
  );
  for (const name of excused) console.log(`not run here: ${name}`);
  const failed = count("failures") + count("errors") + count("skipped") - excused.length;
  return { passed: count("tests") - failed - excused.length, failed };
}

function run(command: string[]): number {
  const options = { cwd: ROOT, stdin: "ignore", stdout: "inherit", stderr: "inherit" } as const;
  return Bun.spawnSync(command, options).exitCode;
}
