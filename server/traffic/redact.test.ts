import { expect, test } from "bun:test";
import fc from "fast-check";
import { redact, redactText } from "./redact.ts";

const SECRETS = [
  "jane.doe+test@mail.example.co.uk",
  "jürgen@müller.de",
  "sk-proj-abcDEF123456ghiJKL",
  "ox_live_k3v9ab12_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG",
  "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
  "Bearer abc.def.ghi-123",
  "password: hunter2!",
  "api_key=qwertz",
  "AKIAIOSFODNN7EXAMPLE",
  "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc",
  "+49 (170) 123-4567",
  "4111 1111 1111 1111",
  "1984-05-17",
  "DE89 3704 0044 0532 0130 00",
  "https://user:pass@host.example/path?token=x",
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB",
  "5f4dcc3b5aa765d61d8327deb882cf99",
  "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\n-----END PRIVATE KEY-----",
];

test.each(SECRETS)("%s does not stay, wherever it stands", (secret) => {
  fc.assert(
    fc.property(
      fc.constantFrom("", "I wrote ", "(", "é "),
      fc.constantFrom("", " and then", ".", ")"),
      (before, after) => {
        const left = redactText(`${before}${secret}${after}`);
        for (const word of secret.match(/[\p{L}\p{N}]{5,}/gu) ?? []) {
          // What a field is called is no secret, and neither is what says that a key follows.
          if (/^(?:bearer|password|https|image|base64|BEGIN|PRIVATE)$/i.test(word)) continue;
          expect(left).not.toContain(word);
        }
        expect(left).not.toMatch(/\d{4}/);
      },
    ),
  );
});

test("plain words and small numbers stay as they are", () => {
  const text = "Say hello in 3 sentences, at 20 °C; then use get_weather(Paris) for the 21st century. — 世界";
  expect(redactText(text)).toBe(text);
});

test("what was redacted is not redacted further", () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.string(), fc.constantFrom(...SECRETS)), { maxLength: 6 }), (parts) => {
      const once = redactText(parts.join(" "));
      expect(redactText(once)).toBe(once);
    }),
  );
});

test("in a body every text is looked at, who asks is left out, and what steers the call stays", () => {
  const mail = "a@b.example";
  const body = {
    model: "m",
    max_tokens: 100_000,
    seed: 123_456,
    user: "jane",
    metadata: { a: "b" },
    messages: [
      { role: "user", content: [{ type: "text", text: `I am ${mail}` }] },
      { role: "assistant", tool_calls: [{ function: { name: "f", arguments: `{"to":"${mail}"}` } }] },
    ],
    tools: [{ function: { parameters: { properties: { [mail]: { enum: [mail] } } } } }],
  };
  expect(redact(body)).toEqual({
    model: "m",
    max_tokens: 100_000,
    seed: 123_456,
    messages: [
      { role: "user", content: [{ type: "text", text: "I am [email]" }] },
      { role: "assistant", tool_calls: [{ function: { name: "f", arguments: '{"to":"[email]"}' } }] },
    ],
    tools: [{ function: { parameters: { properties: { "[email]": { enum: ["[email]"] } } } } }],
  });
});

test.each([
  "a".repeat(262_144),
  "a.".repeat(131_072),
  "1 ".repeat(131_072),
  "data:".repeat(52_000),
  "sk-".repeat(87_000),
  "-----BEGIN A-----".repeat(15_000),
  "a@".repeat(131_072),
  "password:".repeat(29_000),
])("no text takes long", (text) => {
  const startedMs = performance.now();
  redactText(text);
  expect(performance.now() - startedMs).toBeLessThan(2_000);
});
