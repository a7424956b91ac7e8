import { expect, test } from "bun:test";
import { whatCountsPage } from "./build-what-counts.ts";

test("docs/what-counts.md says what the table says (bun docs/build-what-counts.ts)", async () => {
  expect(await Bun.file(new URL("what-counts.md", import.meta.url)).text()).toBe(whatCountsPage());
});
