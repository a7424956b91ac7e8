import { afterAll, expect, test } from "bun:test";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { AnswerTooLong, readAll, readJson, readUpTo } from "./bounded.ts";

/** Speaks by hand: no server that keeps to the rules would say what is said here. */
const says = new Map<string, (socket: Socket) => unknown>();
const closed = new Map<string, () => void>();
const server = createServer((socket) => {
  socket.on("error", () => {}); // whoever reads hangs up in the middle
  socket.once("data", (asked) => {
    const path = /^GET (\S+)/.exec(asked.toString())![1]!;
    socket.once("close", () => closed.get(path)?.());
    void says.get(path)!(socket);
  });
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
afterAll(() => server.close());
const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

function ask(path: string, say: (socket: Socket) => unknown): Promise<Response> {
  says.set(path, say);
  return fetch(origin + path, { decompress: false, keepalive: false } as RequestInit);
}
const whole = (text: string, type = "application/json") =>
  `HTTP/1.1 200 OK
content-type: ${type}
content-length: ${Buffer.byteLength(text)}
connection: close

${text}`.replaceAll("\n", "\r\n");

const CHUNKED = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
const PIECE = `400\r\n${"x".repeat(1024)}\r\n`;

/** Goes on until the other side hangs up. */
async function forEver(socket: Socket, head: string): Promise<void> {
  socket.write(head);
  while (!socket.destroyed) await new Promise<unknown>((resolve) => socket.write(PIECE, resolve));
}

test("an answer within its bound is read whole, with and without a length", async () => {
  const told = await ask("/told", (socket) => socket.end(whole('{"a":1}')));
  expect(await readJson(told, 7)).toEqual({ a: 1 });
  const chunked = await ask("/chunked", (socket) => socket.end(`${CHUNKED}3\r\n{"a\r\n4\r\n":1}\r\n0\r\n\r\n`));
  expect(await readJson(chunked, 7)).toEqual({ a: 1 });
});

test.each([
  ["without a length", CHUNKED],
  ["that tells a small one beside its chunks", CHUNKED.replace("\r\n", "\r\ncontent-length: 5\r\n")],
])("an answer without an end, %s, is hung up on", async (name, head) => {
  const path = `/endless-${name.length}`;
  const hungUp = new Promise<void>((resolve) => closed.set(path, resolve));
  await expect(readAll(await ask(path, (socket) => forEver(socket, head)), 100_000)).rejects.toThrow(AnswerTooLong);
  await hungUp;
});

test("one that says that it is longer is not waited for", async () => {
  const long = await ask("/long", (socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n"));
  await expect(readAll(long, 7)).rejects.toThrow("longer than 7 bytes");
});

test("the beginning can be had of one that is longer", async () => {
  const { bytes, whole } = await readUpTo(await ask("/beginning", (socket) => forEver(socket, CHUNKED)), 1_500);
  expect([bytes.length, whole]).toEqual([1_500, false]);
});

test("one that breaks off is no answer", async () => {
  const cut = await ask("/cut", (socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{}"));
  await expect(readAll(cut, 100)).rejects.not.toBeInstanceOf(AnswerTooLong);
});

test.each([
  ["text/html; charset=utf-8", "<html><title>Sign\n in</title>", "text/html, a page titled 'Sign in', instead of JSON"],
  ["text/plain", "ok", "answered with text/plain instead of JSON"],
  ["application/json", '{"a":', "answered with broken JSON instead of JSON"],
  ["application/json", "", "answered with nothing instead of JSON"],
])("%s that is no JSON is named, with its address and nothing of its query", async (type, text, words) => {
  const answer = await ask("/page?token=secret", (socket) => socket.end(whole(text, type)));
  const error = await readJson(answer, 1_000).catch((thrown) => thrown);
  expect((error as Error).message).toBe(
    `${origin}/page ${words.startsWith("answered") ? words : `answered with ${words}`}`,
  );
});
