import { expect, test } from "bun:test";
import { LIMITS, limitVariable } from "../server/config/limits.ts";

test("docs/settings.md names every limit with its default, and no other", async () => {
  const page = await Bun.file(new URL("settings.md", import.meta.url)).text();
  const documented = [...page.matchAll(/^\| `(OXBOW_\w+)` \| (\d+) \|/gm)].map(([, name, value]) => `${name}=${value}`);
  const known = Object.entries(LIMITS).map(([name, [value]]) => `${limitVariable(name)}=${value}`);
  expect(documented.filter((each) => !SWITCHES.includes(each)).sort()).toEqual(known.sort());
});

/** Numbers that are no limits. */
const SWITCHES = ["OXBOW_SIMULATE=0", "OXBOW_FETCH_URLS=1", "OXBOW_LOG_REQUESTS=1"];
