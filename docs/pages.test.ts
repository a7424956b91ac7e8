// What the pages say of the house is so: their links lead somewhere, and no room, command or setting is left out.

import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { MAY_IMPORT, ROOM_FOLDERS } from "../test/imports.ts";

const ROOT = join(import.meta.dir, "..");
const textOf = (file: string) => Bun.file(join(ROOT, file)).text();
const filesLike = (pattern: string) =>
  Array.from(new Bun.Glob(pattern).scanSync({ cwd: ROOT })).filter((file) => !file.includes("node_modules/"));

/** As GitHub makes them of headings. */
function anchorsIn(text: string): Set<string> {
  const headings = text.matchAll(/^#+ (.+)$/gm);
  return new Set(
    Array.from(headings, ([, words]) =>
      words!
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-"),
    ),
  );
}

test("every link between pages leads to a file, and to a heading of it", async () => {
  const broken: string[] = [];
  for (const page of filesLike("**/*.md")) {
    for (const [, path = "", anchor] of (await textOf(page)).matchAll(/\]\(([^)#\s:]*)(?:#([^)\s]+))?\)/g)) {
      const file = path === "" ? page : join(dirname(page), path);
      const found = existsSync(join(ROOT, file)) && (!anchor || anchorsIn(await textOf(file)).has(anchor));
      if (!found) broken.push(`${page}: ${path}${anchor ? `#${anchor}` : ""}`);
    }
  }
  expect(broken).toEqual([]);
});

test("the README leads to every page", async () => {
  const readme = await textOf("README.md");
  expect(filesLike("docs/*.md").filter((page) => !readme.includes(`](${page}`))).toEqual([]);
});

test("docs/architecture.md draws every room, and says what each may import", async () => {
  const page = await textOf("docs/architecture.md");
  const drawn = page.match(/^```\n([\s\S]*?)^```/m)![1]!.split("\n");
  const rooms = [...ROOM_FOLDERS, ...filesLike("{packages,workers}/*/package.json").map(dirname)];
  const names = new Set(rooms.filter((room) => room.includes("/") && room !== "server/config"));
  expect([...names].filter((room) => !drawn.some((line) => line.startsWith(`  ${room.split("/")[1]}/ `)))).toEqual([]);

  const rows = [...page.matchAll(/^\| ([a-z, ]+) \| ([a-z, ]+) \|$/gm)].slice(1);
  const listOf = (cell: string) => (cell === "nothing of ours" ? [] : cell.split(", "));
  const said = rows.flatMap(([, who, whom]) => listOf(who!).map((room): [string, string[]] => [room, listOf(whom!)]));
  expect(Object.fromEntries(said)).toEqual(MAY_IMPORT);
});

test("docs/cli.md names every command", async () => {
  const page = await textOf("docs/cli.md");
  const { stdout } = Bun.spawnSync([process.execPath, "cli/main.ts", "help"], { cwd: ROOT });
  const commands = [...stdout.toString().matchAll(/^ {2}([a-z]+)(?=[ |])/gm)].map(([, name]) => name!);
  expect(commands.length).toBeGreaterThan(15);
  expect(commands.filter((name) => !page.includes(`\`oxbow ${name}`))).toEqual([]);
});

test("docs/settings.md names every variable that is read", async () => {
  const page = await textOf("docs/settings.md");
  const read = new Set<string>();
  for (const file of filesLike("{server,cli,runtime}/**/*.{ts,mjs}")) {
    if (/\.test\.ts$|\/test-/.test(file)) continue;
    for (const [, name] of (await textOf(file)).matchAll(/\benv(?:, "|\.|\[")([A-Z][A-Z0-9_]{3,})/g)) read.add(name!);
  }
  expect(read.size).toBeGreaterThan(20);
  expect([...read].filter((name) => !page.includes(`\`${name}\``) && !OF_THE_SYSTEM.has(name)).sort()).toEqual([]);
});

/** Known to every user of a shell. */
const OF_THE_SYSTEM = new Set(["HOME", "PATH", "LD_LIBRARY_PATH"]);
