import { expect, test } from "bun:test";
import { checkEmail, normaliseEmail } from "./email.ts";

test.each([
  ["Ann@Example.COM", "ann@example.com"],
  ["ann+trial2@example.com", "ann@example.com"],
  ["ann+a+b@example.com", "ann@example.com"],
  ["ann@example.com.", "ann@example.com"],
  ["ann@bücher.example", "ann@xn--bcher-kva.example"],
  ["ann@BÜCHER.example", "ann@xn--bcher-kva.example"],
  ["ａｎｎ@example.com", "ann@example.com"],
])("%s reaches the mailbox %s", (spelling, mailbox) => {
  expect(normaliseEmail(checkEmail(spelling))).toBe(mailbox);
});

test.each([
  ["ann.b@example.com", "annb@example.com"],
  ["+1@example.com", "+2@example.com"],
  ["ann@example.com", "ann@example.org"],
])("%s is not %s", (one, other) => {
  expect(normaliseEmail(checkEmail(one))).not.toBe(normaliseEmail(checkEmail(other)));
});

test("what cannot be an address is refused", () => {
  const wrong = [
    "",
    "ann",
    "@example.com",
    "ann@",
    "ann@host",
    "a b@example.com",
    "a@b@example.com",
    "ann@exa mple.com",
  ];
  for (const text of [
    ...wrong,
    "ann@-a.example",
    "ann@..example",
    "a\u0000b@example.com",
    `${"a".repeat(250)}@b.example`,
  ]) {
    expect(() => checkEmail(text)).toThrow("must look like name@example.com");
  }
  expect(checkEmail("  Ann@example.com ")).toBe("Ann@example.com");
});
