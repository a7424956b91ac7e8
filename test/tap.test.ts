// The judges' own eyes: what the tap and the reader of HTTP tell is what was on the wire.

import { afterEach, expect, test } from "bun:test";
import { createServer, type Socket } from "node:net";
import { headerOf, readMessage, request, sendBytes, statusOf } from "./http.ts";
import { openTap } from "./tap.ts";

const cleanUp: (() => unknown)[] = [];
afterEach(() => {
  for (const step of cleanUp.splice(0)) step();
});

/** A server that says what it is told to, to everybody. */
async function serverThat(answers: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    socket.on("error", () => {}); // a client that hangs up is what some tests are about
    socket.on("data", () => answers(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp.push(() => server.close());
  return (server.address() as { port: number }).port;
}

async function tapOn(port: number) {
  const tap = await openTap(port);
  cleanUp.push(tap.close);
  return tap;
}

const CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";

test("a chunked body keeps its borders, and its header names their case", () => {
  const { message, end } = readMessage(Buffer.from(CHUNKED), 0)!;
  expect(message.chunks.map(String)).toEqual(["abc", "de"]);
  expect(message.body.toString()).toBe("abcde");
  expect(message.headers).toEqual([["Transfer-Encoding", "chunked"]]);
  expect(message.complete).toBe(true);
  expect(end).toBe(CHUNKED.length);
});

test("what is cut short is not whole, wherever it is cut", () => {
  const headEnd = CHUNKED.indexOf("\r\n\r\n") + 4;
  for (let length = headEnd; length < CHUNKED.length - 2; length++) {
    expect(readMessage(Buffer.from(CHUNKED.slice(0, length)), 0)!.message.complete).toBe(false);
  }
  const counted = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc";
  expect(readMessage(Buffer.from(counted), 0)!.message.complete).toBe(false);
  expect(readMessage(Buffer.from("HTTP/1.1 200 OK\r\n"), 0)).toBeNull();
});

test("interim answers are passed over", async () => {
  const port = await serverThat((socket) => socket.end("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"));
  expect(statusOf((await request(port, "GET", "/"))!)).toBe(204);
});

test("the tap tells request and answer, byte for byte", async () => {
  const tap = await tapOn(await serverThat((socket) => socket.write(CHUNKED)));
  await request(tap.port, "POST", "/x?a=b", { body: "{}", headers: { "X-Name": "v" } });
  const [exchange] = tap.exchanges();
  expect(exchange!.request.startLine).toBe("POST /x?a=b HTTP/1.1");
  expect(headerOf(exchange!.request, "x-name")).toBe("v");
  expect(exchange!.request.body.toString()).toBe("{}");
  expect(exchange!.response!.body.toString()).toBe("abcde");
});

test("who hung up is told: a server that breaks off, and a client that does", async () => {
  const breaking = await tapOn(await serverThat((socket) => socket.end(CHUNKED.slice(0, -5))));
  await request(breaking.port, "GET", "/");
  expect(breaking.exchanges()[0]).toMatchObject({ hungUp: false, response: { complete: false } });

  const endless = await tapOn(await serverThat((socket) => socket.write(CHUNKED.slice(0, -5))));
  await sendBytes(endless.port, "GET / HTTP/1.1\r\n\r\n", { until: (seen) => seen.length > 0 });
  while (endless.exchanges()[0]!.open) await Bun.sleep(1);
  expect(endless.exchanges()[0]).toMatchObject({ hungUp: true, response: { complete: false } });
});

test("calls on one connection are told apart, also after the tap has forgotten the first", async () => {
  const answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
  const tap = await tapOn(await serverThat((socket) => socket.write(answer)));
  const url = `http://127.0.0.1:${tap.port}`;
  for (const path of ["/a", "/b"]) await (await fetch(url + path)).text();
  expect(tap.exchanges().map(({ request }) => request.startLine)).toEqual(["GET /a HTTP/1.1", "GET /b HTTP/1.1"]);
  tap.clear();
  await (await fetch(`${url}/c`)).text();
  expect(tap.exchanges().map(({ request }) => request.startLine)).toEqual(["GET /c HTTP/1.1"]);
});
