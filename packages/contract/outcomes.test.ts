import { expect, test } from "bun:test";
import { isCounted, OUTCOMES, type Outcome } from "./outcomes.ts";

/** The rules of "What counts as a request", written down a second time: a row that is changed by mistake is noticed. */
const RULES: Record<Outcome, boolean> = {
  complete: true,
  cancelled_after_first_token: true,
  cancelled_before_first_token: false,
  client_error: false,
  refused: false,
  queue_timeout: false,
  engine_failed: false,
  interrupted: false,
  lost: false,
};

test.each(Object.entries(RULES) as [Outcome, boolean][])("%s: counted %p", (outcome, counted) => {
  expect(isCounted(outcome)).toBe(counted);
  expect(OUTCOMES[outcome].about).toMatch(/^[A-Z].*\.$/);
});
