// Below the endpoints: paths, methods, header fields, content types, and what browsers ask before they call.

import { expect, test } from "bun:test";
import { KEY } from "./harness.ts";
import { headerOf, type Message, request, type SendOptions, statusOf } from "./http.ts";
import { described, ownViolations } from "./oracle/own.ts";
import { HELLO, MODEL, testTraffic, useServer } from "./suite.ts";

const server = useServer();
const AUTH = { authorization: `Bearer ${KEY}` };
const CHAT = JSON.stringify({ model: MODEL, messages: HELLO });

type Options = SendOptions & { headers?: Record<string, string>; body?: Buffer | string };

async function ask(method: string, path: string, options: Options = {}): Promise<Message> {
  const headers = { ...AUTH, ...options.headers };
  return (await request(server().tap.port, method, path, { ...options, headers }))!;
}

const errorOf = (message: Message) => JSON.parse(message.body.toString()).error;

test.each([
  "/",
  "/v1",
  "/v2/models",
  "/v1/nothing",
  "/v1/chat",
  "/v1/chat/completions/more",
  "/v1//models",
  "/index.html",
])("404 in the envelope for %s", async (path) => {
  for (const method of ["GET", "POST"]) {
    const answer = await ask(method, path, method === "POST" ? { body: "{}" } : {});
    expect(statusOf(answer)).toBe(404);
    expect(errorOf(answer)).toEqual({
      message: `Invalid URL (${method} ${path})`,
      type: "invalid_request_error",
      param: null,
      code: "unknown_url",
    });
  }
});

test("what is ours to describe is answered as docs/openapi/oxbow.yaml says", async () => {
  const paths = Object.entries(described.paths).flatMap(([path, methods]) => ("get" in methods ? [path] : []));
  expect(paths).toContain("/v1/engines");
  for (const path of paths) {
    const answer = await ask("GET", path);
    const body = JSON.parse(answer.body.toString());
    expect([path, statusOf(answer), ownViolations("GET", path, 200, body)]).toEqual([path, 200, []]);
    if (path === "/v1/engines") expect(body.data).not.toEqual([]);
  }
});

test.each([
  ["GET", "/v1/chat/completions", "POST"],
  ["DELETE", "/v1/completions", "POST"],
  ["POST", "/v1/models", "GET"],
  ["PUT", "/v1/models/x", "GET"],
  ["PATCH", "/health", "GET"],
])("405 for %s %s, and Allow says what is", async (method, path, allowed) => {
  const answer = await ask(method, path);
  expect(statusOf(answer)).toBe(405);
  expect(headerOf(answer, "allow")!.split(", ")).toContain(allowed);
  expect(errorOf(answer)).toMatchObject({ type: "invalid_request_error", code: "method_not_supported", param: null });
  expect(errorOf(answer).message).toContain(`Not allowed to ${method} on ${path}.`);
});

test("HEAD answers as GET does, without a body", async () => {
  for (const path of ["/v1/models", `/v1/models/${MODEL}`, "/health", "/ready", "/nothing"]) {
    const get = await ask("GET", path);
    const head = await ask("HEAD", path);
    expect(statusOf(head)).toBe(statusOf(get));
    expect(headerOf(head, "content-type")).toBe(headerOf(get, "content-type"));
    expect(head.body).toHaveLength(0);
  }
  expect(statusOf(await ask("HEAD", "/v1/chat/completions"))).toBe(405);
});

test("OPTIONS lets a browser of any origin call, with the header fields that it asks for", async () => {
  const asked = "authorization, content-type, x-stainless-os, x-stainless-retry-count, openai-beta";
  const answer = await request(server().tap.port, "OPTIONS", "/v1/chat/completions", {
    headers: {
      origin: "https://app.example",
      "access-control-request-method": "POST",
      "access-control-request-headers": asked,
    },
  });
  expect(statusOf(answer!)).toBe(204);
  expect(headerOf(answer!, "access-control-allow-origin")).toBe("*");
  expect(headerOf(answer!, "access-control-allow-methods")).toContain("POST");
  expect(headerOf(answer!, "access-control-allow-headers")).toBe(asked);
  expect(headerOf(answer!, "access-control-allow-credentials")).toBeNull();
});

test("a browser may read what it needs of every answer, errors and streams included", async () => {
  const stream = JSON.stringify({ model: MODEL, messages: HELLO, stream: true });
  const origin = { origin: "https://app.example" };
  for (const answer of [
    await ask("POST", "/v1/chat/completions", { body: CHAT, headers: origin }),
    await ask("POST", "/v1/chat/completions", { body: stream, headers: origin }),
    await ask("POST", "/v1/chat/completions", { body: "{", headers: origin }),
    await ask("GET", "/v1/models", { headers: origin }),
    await ask("GET", "/nothing", { headers: origin }),
  ]) {
    expect(headerOf(answer, "access-control-allow-origin")).toBe("*");
    const exposed = headerOf(answer, "access-control-expose-headers")!.split(", ");
    expect(exposed).toEqual(
      expect.arrayContaining(["x-request-id", "retry-after", "retry-after-ms", "x-should-retry"]),
    );
  }
});

test("a slash at the end and a query change nothing", async () => {
  for (const path of ["/v1/models/", "/v1/models?limit=5", "/v1/models/?a=b"]) {
    expect(statusOf(await ask("GET", path))).toBe(200);
  }
  for (const path of ["/v1/chat/completions/", "/v1/chat/completions?api-version=1"]) {
    expect(statusOf(await ask("POST", path, { body: CHAT }))).toBe(200);
  }
});

test("a slash in a model's id is found plain and encoded, and decoded once", async () => {
  for (const path of ["/v1/models/org/model", "/v1/models/org%2Fmodel", "/v1/models/org%2fmodel"]) {
    const answer = await ask("GET", path);
    expect(statusOf(answer)).toBe(404);
    expect(errorOf(answer).message).toContain("`org/model`");
  }
  expect(errorOf(await ask("GET", "/v1/models/org%252Fmodel")).message).toContain("`org%2Fmodel`");
  expect(errorOf(await ask("GET", "/v1/models/%E0%A4%A")).code).toBe("model_not_found");
  expect(statusOf(await ask("GET", `/v1/models/${MODEL.replace("-", "%2D")}`))).toBe(200);
});

test.each([
  [200, "application/json"],
  [200, "application/json; charset=utf-8"],
  [200, "APPLICATION/JSON"],
  [200, "application/vnd.api+json"],
  [415, "text/plain"],
  [415, "multipart/form-data; boundary=x"],
  [415, "application/x-www-form-urlencoded"],
  [415, "nonsense"],
])("%i for a body of type %s", async (status, type) => {
  const answer = await ask("POST", "/v1/chat/completions", { body: CHAT, headers: { "content-type": type } });
  expect(statusOf(answer)).toBe(status);
});

test("nothing is compressed, whatever the client would take", async () => {
  const headers = { "accept-encoding": "gzip, deflate, br, zstd" };
  for (const answer of [
    await ask("GET", "/v1/models", { headers }),
    await ask("POST", "/v1/chat/completions", { body: CHAT, headers }),
  ]) {
    expect(headerOf(answer, "content-encoding")).toBeNull();
    expect(answer.body.toString()).toStartWith("{");
  }
});

test("every answer has an id of its own", async () => {
  const ids = new Set<string | null>();
  for (let count = 0; count < 20; count++) ids.add(headerOf(await ask("GET", "/v1/models"), "x-request-id"));
  expect(ids.size).toBe(20);
});

test.each(["Bearer", "bearer", "BEARER"])("the scheme %s is one", async (scheme) => {
  for (const authorization of [`${scheme} ${KEY}`, `  ${scheme}   ${KEY}  `]) {
    expect(statusOf(await ask("GET", "/v1/models", { headers: { authorization } }))).toBe(200);
  }
});

test.each(["", "Bearer", "Bearer ", `Basic ${KEY}`, KEY, `Bearer ${KEY}x`, `Bearer ${KEY.slice(0, -1)}`, "Bearer a b"])(
  "401 for the authorization %p, which is not repeated",
  async (authorization) => {
    const answer = await ask("GET", "/v1/models", { headers: { authorization } });
    expect(statusOf(answer)).toBe(401);
    expect(answer.body.toString()).not.toContain(KEY.slice(0, 20));
  },
);

test("OpenAI's optional fields of the request head are taken and ignored", async () => {
  const headers = {
    "openai-organization": "org-1",
    "openai-project": "proj-1",
    "openai-beta": "assistants=v2",
    "x-stainless-lang": "js",
    "x-stainless-retry-count": "2",
    "idempotency-key": "abc",
    expect: "100-continue",
  };
  expect(statusOf(await ask("POST", "/v1/chat/completions", { body: CHAT, headers }))).toBe(200);
});

test("health and readiness need no key", async () => {
  for (const path of ["/health", "/ready"]) {
    const answer = await request(server().tap.port, "GET", path);
    expect(statusOf(answer!)).toBe(200);
  }
  const ready = JSON.parse((await request(server().tap.port, "GET", "/ready"))!.body.toString());
  expect(ready.models.find((model: { id: string }) => model.id === "tiny").state).toBe("warm");
});

testTraffic(server);
