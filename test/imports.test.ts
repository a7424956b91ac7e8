import { expect, test } from "bun:test";
import { circlesIn, type Import, importsOf, objectionTo } from "./imports.ts";

const ROOT = `${import.meta.dir}/..`;

async function allImports(): Promise<Import[]> {
  const files = new Bun.Glob("{packages,server,workers,cli,bench,models,test}/**/*.{ts,tsx}").scan({ cwd: ROOT });
  const imports: Import[] = [];
  for await (const file of files) {
    if (file.includes("node_modules/")) continue;
    imports.push(...importsOf(file, await Bun.file(`${ROOT}/${file}`).text()));
  }
  return imports;
}

test("every import points down, at a room's face", async () => {
  const imports = await allImports();
  expect(imports.length).toBeGreaterThan(20);
  expect(imports.map(objectionTo).filter((objection) => objection !== null)).toEqual([]);
});

test("no imports go round in a circle", async () => {
  expect(circlesIn(await allImports()).map((circle) => circle.join(" -> "))).toEqual([]);
});

const only = (file: string, source: string) => {
  const [found] = importsOf(file, source);
  return objectionTo(found!);
};

test.each([
  ["server/gateway/chat.ts", 'import { place } from "../engines/engines.ts";', "gateway may not import engines"],
  [
    "server/gateway/chat.ts",
    'import { pick } from "../fleet/health.ts";',
    "only the file that bears the name of fleet",
  ],
  ["server/accounts/keys.ts", 'import { count } from "../ledger/ledger.ts";', "accounts may not import ledger"],
  ["server/fleet/fleet.ts", 'import type { Ticket } from "../admission/admission.ts";', "not even import types"],
  ["server/admission/queue.ts", 'import { start } from "../main.ts";', "what stands above the rooms"],
  ["server/engines/relay.ts", 'import {\n  sseEvent,\n  SSE_DONE,\n} from "@oxbow/contract/sse.ts";', "bears the name"],
  ["packages/contract/chat.ts", 'import type { Config } from "../../server/config.ts";', "not even import types"],
  ["server/engines/relay.ts", 'export { x } from "./relay.test.ts";', "made for tests"],
  ["workers/llama/main.ts", 'const x = await import("../simulator/text.ts");', "a kind of worker"],
  ["server/store/store.ts", 'import { ApiError } from "@oxbow/contract";', "store may not import contract"],
])("%s may not say %s", (file, source, why) => {
  expect(only(file, source)).toContain(why);
});

test.each([
  ["server/gateway/chat.ts", 'import { createFleet } from "../fleet/fleet.ts";'],
  ["server/gateway/chat.ts", 'import type { Engine } from "../engines/engines.ts";'],
  ["server/admission/admission.ts", 'import type { Plan } from "../config.ts";'],
  ["server/main.ts", 'import { openStore } from "./store/store.ts";'],
  ["server/fleet/fleet.test.ts", 'import { pick } from "../engines/relay.ts";'],
  ["workers/llama/main.ts", 'import { a } from "./grammar/rules.ts";'],
])("%s may say %s", (file, source) => {
  expect(only(file, source)).toBeNull();
});

test("a circle is found, also one of types", () => {
  const at = (from: string, to: string, typeOnly = false): Import => ({ from, said: to, to, typeOnly });
  expect(circlesIn([at("a", "b"), at("b", "c"), at("c", "a")])).toEqual([["a", "b", "c", "a"]]);
  expect(circlesIn([at("a", "b"), at("b", "a", true)])).toEqual([["a", "b", "a"]]);
  expect(circlesIn([at("a", "b"), at("a", "c"), at("b", "c", true)])).toEqual([]);
});
