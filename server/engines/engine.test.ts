import { afterAll, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { createEngine, EngineUnreachable } from "./engine.ts";

const socket = join(tmpdir(), `oxbow-engine-${process.pid}.sock`);
const arrived = Promise.withResolvers<void>();
const hungUp = Promise.withResolvers<void>();
async function answer(request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  if (pathname.endsWith("/silent")) {
    request.signal.addEventListener("abort", () => hungUp.resolve());
    arrived.resolve();
    return new Promise(() => {});
  }
  if (pathname.endsWith("/packed")) {
    return new Response(gzipSync("packed"), { headers: { "content-encoding": "gzip" } });
  }
  if (pathname.endsWith("/moved")) return Response.redirect("/v1/elsewhere");
  return Response.json({
    pathname,
    method: request.method,
    body: await request.text(),
    headers: Object.fromEntries(request.headers),
  });
}
const local = Bun.serve({ unix: socket, fetch: answer });
const remote = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: answer });
afterAll(async () => {
  await Promise.all([local.stop(true), remote.stop(true)]);
  rmSync(socket, { force: true });
});

const about = { id: "e", kind: "k", features: ["seed"], simulated: false, slots: 1 };
const body = new TextEncoder().encode('{"model" : "m"}');
const never = new AbortController().signal;

test("a call reaches a socket or a base URL with its bytes as they were, asking for bytes as they are", async () => {
  for (const address of [{ socket }, { baseUrl: `${remote.url}openai/v1/` }]) {
    const engine = createEngine({ ...about, address });
    const response = await engine.send("/v1/chat/completions", body, { signal: never, headers: { "x-more": "1" } });
    const seen = (await response.json()) as { pathname: string; method: string; body: string; headers: object };
    expect(seen.pathname).toBe("socket" in address ? "/v1/chat/completions" : "/openai/v1/chat/completions");
    expect(seen.method).toBe("POST");
    expect(seen.body).toBe('{"model" : "m"}');
    expect(seen.headers).toMatchObject({
      "content-type": "application/json",
      "accept-encoding": "identity",
      "x-more": "1",
    });
  }
});

test("a packed answer is handed on packed, its header fields true, and a redirect is not followed", async () => {
  const engine = createEngine({ ...about, address: { socket } });
  const packed = await engine.send("/v1/packed", body, { signal: never });
  expect(packed.headers.get("content-encoding")).toBe("gzip");
  expect(Buffer.from(await packed.bytes())).toEqual(gzipSync("packed"));
  expect((await engine.send("/v1/moved", body, { signal: never })).status).toBe(302);
});

test("an engine that is not there, refuses, or hangs up before its headers is unreachable", async () => {
  const rude = createServer((connection) => connection.once("data", () => connection.destroy()));
  await new Promise<void>((resolve) => rude.listen(0, "127.0.0.1", resolve));
  const port = (rude.address() as { port: number }).port;
  for (const address of [
    { socket: join(tmpdir(), "oxbow-nobody.sock") },
    { baseUrl: "http://127.0.0.1:1/v1" },
    { baseUrl: `http://127.0.0.1:${port}/v1` },
  ]) {
    const engine = createEngine({ ...about, address });
    const error = await engine.send("/v1/x", body, { signal: never }).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(EngineUnreachable);
    expect(error.engine).toBe("e");
    expect(error.cause).toBeInstanceOf(Error);
  }
  rude.close();
});

test("a caller who hangs up gets his own reason, and the engine hears it", async () => {
  const engine = createEngine({ ...about, address: { socket } });
  const caller = new AbortController();
  const call = engine.send("/v1/silent", body, { signal: caller.signal }).catch((thrown) => thrown);
  await arrived.promise;
  const reason = new Error("gone");
  caller.abort(reason);
  expect(await call).toBe(reason);
  await hungUp.promise;
});
