// docs/plans.md shows whole messages: each is one that the plans of data/ really give.

import { expect, test } from "bun:test";
import type { Ask } from "../server/admission/admission.ts";
import { admissionTo, askOf, callerOf } from "../server/admission/testing.ts";
import { loadConfig } from "../server/config.ts";

const { models, plans } = loadConfig({ env: {}, simulate: true });
const free = (more = {}) => callerOf({ plan: { id: "free", version: 2026 }, ...more });
const modelOf = (id: string) => models.find((model) => model.id === id)!;
const none = { requestsPerMinute: null, concurrencyMax: null };

/** The message of the refusal that follows `before` calls that are let in. */
async function refusal(before: number, ask: Partial<Ask>, passMs = 0): Promise<string> {
  const { admission, clock } = admissionTo(99, { plans: () => plans });
  const asked = askOf({ caller: free(), model: modelOf("mistral-7b"), ...ask });
  for (let call = 0; call < before; call++) await admission.admit(asked);
  clock.monotonic += passMs;
  return await admission.admit(asked).then(String, (error: Error) => error.message);
}

test("every message in docs/plans.md is one that callers get", async () => {
  const pro = { model: modelOf("qwen-14b") };
  const day = { overrides: none };
  const messages = [
    await refusal(0, pro),
    await refusal(0, { ...pro, caller: free({ keyModels: ["mistral-7b"], trialEndsAt: Number.MAX_VALUE }) }),
    await refusal(0, { inputTokens: 3000 }),
    await refusal(0, { choices: 5000 }),
    await refusal(1, { caller: free({ overrides: { concurrencyMax: null } }) }, 10_650),
    await refusal(1, { caller: free({ overrides: { requestsPerMinute: null } }) }),
    await refusal(60, { caller: free(day) }),
    await refusal(10, { caller: free({ ...day, keyRequestsPerDay: 10 }) }),
  ];
  const page = await Bun.file(new URL("plans.md", import.meta.url)).text();
  const shown = page.split("\n").flatMap((line) => (line.startsWith("> ") ? [line.slice(2)] : []));
  expect(shown).toEqual(messages);
});
