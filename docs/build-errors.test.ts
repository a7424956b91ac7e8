import { expect, test } from "bun:test";
import { errorsPage } from "./build-errors.ts";

test("docs/errors.md says what the table says (bun docs/build-errors.ts)", async () => {
  expect(await Bun.file(new URL("errors.md", import.meta.url)).text()).toBe(errorsPage());
});
