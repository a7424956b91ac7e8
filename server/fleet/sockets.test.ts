import { expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { socketFolder } from "./sockets.ts";

test("sockets lie in a folder of ours alone, with a name that is new each time", () => {
  const parent = mkdtempSync(join(tmpdir(), "run-"));
  const [one, two] = [socketFolder(parent), socketFolder(parent)];
  const paths = [one.next(), one.next(), two.next()];
  expect(new Set(paths).size).toBe(3);
  expect(paths[0]).toStartWith(parent);
  one.create();
  const folder = join(paths[0]!, "..");
  expect(statSync(folder).mode & 0o777).toBe(0o700);
  expect(() => one.create()).toThrow("EEXIST"); // never shared with who made it first
  one.remove();
  expect(existsSync(folder)).toBe(false);
  rmSync(parent, { recursive: true });
});

test("a place that is too deep for a socket, or not there, is passed over", () => {
  const deep = join(mkdtempSync(join(tmpdir(), "run-")), "d".repeat(100));
  mkdirSync(deep);
  for (const place of [deep, "/nowhere", "", undefined]) {
    const path = socketFolder(place).next();
    expect(path).toStartWith(tmpdir());
    expect(Buffer.byteLength(path)).toBeLessThanOrEqual(107);
  }
  rmSync(join(deep, ".."), { recursive: true });
});

test("folders of servers that were killed are removed by the next one, and no others", async () => {
  const parent = mkdtempSync(join(tmpdir(), "sockets-"));
  const program = `
    const { socketFolder } = await import(${JSON.stringify(join(import.meta.dir, "sockets.ts"))});
    socketFolder(${JSON.stringify(parent)}).create();
    console.log("made");
    setInterval(() => {}, 60_000);`;
  const start = async () => {
    const child = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe" });
    await child.stdout.getReader().read();
    return child;
  };
  const killed = await start();
  killed.kill("SIGKILL");
  await killed.exited;
  const [left] = readdirSync(parent);
  mkdirSync(join(parent, "oxbow-0000000000000000"));
  const running = await start();
  const names = readdirSync(parent);
  expect(names).not.toContain(left!);
  expect(names).toContain("oxbow-0000000000000000");
  expect(names).toHaveLength(2);
  await start().then((third) => third.kill("SIGKILL"));
  expect(readdirSync(parent)).toEqual(expect.arrayContaining(names));
  running.kill("SIGKILL");
  rmSync(parent, { recursive: true });
});
