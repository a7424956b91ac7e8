import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lockHome, serverOn } from "./home.ts";

let home: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "oxbow-home-"));
});

afterEach(() => rmSync(home, { recursive: true }));

/** Another process that holds the home, and has a child that outlives it. Resolves once it does. */
async function startHolder() {
  const code = `
    import { lockHome } from ${JSON.stringify(join(import.meta.dir, "home.ts"))};
    const lock = lockHome(${JSON.stringify(home)});
    const child = Bun.spawn(["sleep", "60"]);
    console.log(child.pid);
    setInterval(() => lock, 60_000);`;
  const holder = Bun.spawn([process.execPath, "-e", code], { stdout: "pipe", stderr: "inherit" });
  const { value } = await holder.stdout.getReader().read();
  return { holder, childPid: Number(new TextDecoder().decode(value)) };
}

test("a second server on the same home is refused, and told who holds it", () => {
  const lock = lockHome(home);
  expect(() => lockHome(home)).toThrow(`Another server (pid ${process.pid}) is running on the home ${home}.`);
  lock.release();
  expect(existsSync(join(home, "server.pid"))).toBe(false);
  lockHome(home).release();
});

test("a home is free again as soon as its server is killed with -9, whatever became of its children", async () => {
  const { holder, childPid } = await startHolder();
  expect(childPid).toBeGreaterThan(0);
  expect(() => lockHome(home)).toThrow(`Another server (pid ${holder.pid}) is running`);
  holder.kill("SIGKILL");
  await holder.exited;
  lockHome(home).release();
  process.kill(childPid, "SIGKILL");
});

test("the server on a home is known by its lock, not by a number that it left behind", async () => {
  expect(serverOn(home)).toBeNull();
  const { holder, childPid } = await startHolder();
  expect(serverOn(home)).toBe(holder.pid);
  holder.kill("SIGKILL");
  await holder.exited;
  expect(existsSync(join(home, "server.pid"))).toBe(true);
  expect(serverOn(home)).toBeNull();
  process.kill(childPid, "SIGKILL");
  const lock = lockHome(home);
  expect(serverOn(home)).toBe(process.pid);
  writeFileSync(join(home, "server.pid"), ""); // it has the lock and is about to write
  expect(serverOn(home)).toBeNull();
  lock.release();
});

test("who looks whether a server runs does not keep one from starting", async () => {
  lockHome(home).release();
  const code = `
    import { serverOn } from ${JSON.stringify(join(import.meta.dir, "home.ts"))};
    console.log("looking");
    for (;;) serverOn(${JSON.stringify(home)});`;
  const looker = Bun.spawn([process.execPath, "-e", code], { stdout: "pipe", stderr: "inherit" });
  await looker.stdout.getReader().read();
  for (let start = 0; start < 50; start++) lockHome(home).release();
  looker.kill("SIGKILL");
  await looker.exited;
});
