// Runs the Python suite against one running server, and holds what went over the wire to the contract.

import { KEY, startServer } from "../harness.ts";
import { openFiles, pngOfZeros } from "../images.ts";
import { pythonWithClients } from "./venv.ts";

/** @returns the counts of Python's unittest, and one more for the contract */
export async function runPython(): Promise<{ passed: number; failed: number }> {
  const python = pythonWithClients();
  const icon = pngOfZeros(40);
  const files = openFiles({ "/icon.png": { bytes: icon } });
  const server = await startServer({ simulate: true, env: { OXBOW_FETCH_ALLOW: files.origin } });
  try {
    const child = Bun.spawn([python, "-W", "error::ResourceWarning", "-m", "unittest", "discover", "-v"], {
      cwd: import.meta.dir,
      stdin: "ignore",
      stdout: "inherit",
      stderr: "pipe",
      env: {
        PATH: process.env.PATH,
        OPENAI_BASE_URL: server.baseUrl,
        OPENAI_API_KEY: KEY,
        IMAGE_URL: `${files.origin}/icon.png`,
        IMAGE_BASE64: Buffer.from(icon).toString("base64"),
        PYTHONDONTWRITEBYTECODE: "1",
      },
    });
    const output = await new Response(child.stderr).text();
    process.stdout.write(output);
    const result = countsOf(output, await child.exited);
    try {
      server.assertTraffic();
      return { ...result, passed: result.passed + 1 };
    } catch (error) {
      console.log(String(error));
      return { ...result, failed: result.failed + 1 };
    }
  } finally {
    await server.stop();
    files.stop();
  }
}

/** From the last lines of unittest: `Ran 12 tests in 3.1s`, `FAILED (failures=1, errors=2)`. */
function countsOf(output: string, exitCode: number): { passed: number; failed: number } {
  const ran = Number(output.match(/^Ran (\d+) tests? in/m)?.[1] ?? 0);
  const verdict = output.match(/^FAILED \((.*)\)$/m)?.[1] ?? "";
  const failed = [...verdict.matchAll(/(?:failures|errors)=(\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
  const broken = ran === 0 || (exitCode !== 0 && failed === 0) ? 1 : 0;
  return { passed: Math.max(0, ran - failed), failed: failed + broken };
}

if (import.meta.main) process.exit((await runPython()).failed > 0 ? 1 : 0);
