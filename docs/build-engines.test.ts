import { expect, test } from "bun:test";
import { enginesPage } from "./build-engines.ts";

test("docs/engines.md is what its script writes: bun docs/build-engines.ts", async () => {
  expect(await Bun.file(new URL("engines.md", import.meta.url)).text()).toBe(enginesPage());
});
