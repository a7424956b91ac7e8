import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { ApiError } from "@oxbow/contract";
import type { TCPSocketListener } from "bun";
import { type FileServer, openFiles } from "../../test/images.ts";
import { createFetcher, type FetcherOptions } from "./fetch.ts";

/** What is inside and must never be reached. It counts connections, not only requests. */
let canary: TCPSocketListener<undefined>;
let touched = 0;
let outside: FileServer;

beforeAll(() => {
  canary = Bun.listen<undefined>({
    hostname: "127.0.0.1",
    port: 0,
    socket: { open: () => void touched++, data: (socket) => void socket.end() },
  });
  outside = openFiles({
    "/image": { bytes: Buffer.from("bytes"), headers: { "content-type": "Image/PNG; charset=x" } },
    "/large": { bytes: new Uint8Array(2_000) },
    "/endless": () => new Response(new ReadableStream({ pull: (to) => void to.enqueue(new Uint8Array(500)) })),
    "/packed": { bytes: Bun.gzipSync(new Uint8Array(10_000)), headers: { "content-encoding": "gzip" } },
    "/silent": () => new Promise<Response>(() => {}),
    "/in": () => Response.redirect(`http://127.0.0.1:${canary.port}/`),
    "/in-by-name": () => Response.redirect(`http://inside.test:8080/`),
    "/to-file": () => new Response(null, { status: 302, headers: { location: "file:///etc/passwd" } }),
    "/round": () => new Response(null, { status: 302, headers: { location: "/round" } }),
    "/twice": () => new Response(null, { status: 307, headers: { location: "/image" } }),
  });
});
afterAll(() => {
  canary.stop(true);
  outside.stop();
});
afterEach(() => {
  expect(touched).toBe(0);
});

const fetcher = (options: Partial<FetcherOptions> = {}) =>
  createFetcher({ enabled: true, allowed: [outside.origin], msMax: 5_000, ...options });
const limits = (bytesMax = 1_000, signal = new AbortController().signal) => ({ bytesMax, signal });
const codeOf = async (pending: Promise<unknown>) =>
  pending.then(
    () => "fetched",
    (error) => (error instanceof ApiError ? error.row : error),
  );

test("what an allowed server gives comes with its type", async () => {
  const got = await fetcher()(`${outside.origin}/image`, limits());
  expect([Buffer.from(got.bytes).toString(), got.contentType]).toEqual(["bytes", "image/png"]);
  expect(await codeOf(fetcher()(`${outside.origin}/twice`, limits()))).toBe("fetched");
});

const SPELLINGS = [
  (port: number) => `http://127.0.0.1:${port}/`,
  (port: number) => `http://2130706433:${port}/`,
  (port: number) => `http://0x7f000001:${port}/`,
  (port: number) => `http://0177.0.0.1:${port}/`,
  (port: number) => `http://127.1:${port}/`,
  (port: number) => `http://0:${port}/`,
  (port: number) => `http://１２７.0.0.1:${port}/`,
  (port: number) => `http://127.0.0.1.:${port}/`,
  (port: number) => `http://[::1]:${port}/`,
  (port: number) => `http://[::ffff:127.0.0.1]:${port}/`,
  (port: number) => `http://[::ffff:7f00:1]:${port}/`,
  (port: number) => `http://[64:ff9b::7f00:1]:${port}/`,
  (port: number) => `http://localhost:${port}/`,
  (port: number) => `http://localhost.:${port}/`,
  (port: number) => `http://LOCALHOST:${port}/`,
  (port: number) => `http://a.localhost:${port}/`,
  (port: number) => `http://user:word@127.0.0.1:${port}/`,
  (port: number) => `http://example.com@127.0.0.1:${port}/`,
  (port: number) => `http://127.0.0.1:${port}\\@example.com/`,
  () => "http://169.254.169.254/latest/meta-data/",
  () => "http://metadata.google.internal/",
  () => "file:///etc/passwd",
  () => "gopher://127.0.0.1/",
  () => "ftp://127.0.0.1/",
  () => "javascript:alert(1)",
  () => "//127.0.0.1/",
  () => "http://",
  () => "",
  () => "http://8.8.8.8:22/",
  () => "http://user@8.8.8.8/",
  () => `http://8.8.8.8/${"a".repeat(9_000)}`,
];

test("nothing inside is connected to, however it is spelled, not even on a port that may be used", async () => {
  for (const spell of SPELLINGS) {
    for (const port of [canary.port, 80, 8080]) {
      expect(await codeOf(fetcher()(spell(port), limits()))).toBe("invalid_image_url");
    }
  }
});

test("a name is refused for any address inside that it has, and an unknown one sounds the same", async () => {
  const says = async (addresses: string[]) => {
    const resolve = async () => addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
    return fetcher({ resolve })("http://name.test:8080/", limits()).catch((error) => error.message);
  };
  const unknown = await says([]);
  expect(unknown).toContain("its host has no public address");
  expect(await says(["127.0.0.1"])).toBe(unknown);
  expect(await says(["8.8.8.8", "10.0.0.1"])).toBe(unknown);
  expect(await says(["::ffff:7f00:1"])).toBe(unknown);
  const failing = () => Promise.reject(new Error("no such host"));
  expect(await fetcher({ resolve: failing })("http://name.test/", limits()).catch((error) => error.message)).toBe(
    unknown,
  );
});

test("the address that was looked at is the one that is connected to, whatever the name means later", async () => {
  // The first answer is this test's own server, as an allowed origin; every later one leads to the canary.
  let asked = 0;
  const resolve = async () => [{ address: ++asked === 1 ? "127.0.0.1" : "127.0.0.2", family: 4 }];
  const origin = `http://changes.test:${outside.port}`;
  const got = await fetcher({ resolve, allowed: [origin] })(`${origin}/image`, limits());
  expect([asked, Buffer.from(got.bytes).toString()]).toEqual([1, "bytes"]);
});

test("a redirect is looked at like the first URL", async () => {
  const get = (path: string, options?: Partial<FetcherOptions>) =>
    codeOf(fetcher(options)(`${outside.origin}${path}`, limits()));
  expect(await get("/in")).toBe("invalid_image_url");
  const resolve = async () => [{ address: "10.0.0.1", family: 4 }];
  expect(await get("/in-by-name", { resolve })).toBe("invalid_image_url");
  expect(await get("/to-file")).toBe("invalid_image_url");
  outside.asked.length = 0;
  expect(await get("/round")).toBe("failed_to_download_image");
  expect(outside.asked).toHaveLength(4);
});

test("too many bytes are refused, announced or not, and so is what is packed", async () => {
  const get = (path: string) => codeOf(fetcher()(`${outside.origin}${path}`, limits()));
  expect(await get("/large")).toBe("image_file_too_large");
  expect(await get("/endless")).toBe("image_file_too_large");
  expect(await get("/packed")).toBe("failed_to_download_image");
  expect(await get("/missing")).toBe("failed_to_download_image");
});

test("a silent server and a resolver without an answer cost the time that is given, and no more", async () => {
  const slow = fetcher({ msMax: 100 });
  expect(await codeOf(slow(`${outside.origin}/silent`, limits()))).toBe("failed_to_download_image");
  const never = fetcher({ msMax: 100, resolve: () => new Promise(() => {}) });
  expect(await codeOf(never("http://name.test/", limits()))).toBe("failed_to_download_image");
});

test("who hangs up ends it with his own reason", async () => {
  const hangUp = new AbortController();
  const pending = codeOf(fetcher()(`${outside.origin}/silent`, limits(1_000, hangUp.signal)));
  hangUp.abort("gone");
  expect(await pending).toBe("gone");
});

test("no more than sixty-four are fetched at the same time, and whoever waits for long gives up", async () => {
  const slow = fetcher({ msMax: 300 });
  outside.asked.length = 0;
  const many = Array.from({ length: 80 }, () => codeOf(slow(`${outside.origin}/silent`, limits())));
  expect(new Set(await Promise.all(many))).toEqual(new Set(["failed_to_download_image"]));
  expect(outside.asked.length).toBeLessThanOrEqual(64);
  expect(await codeOf(slow(`${outside.origin}/image`, limits()))).toBe("fetched");
});

test("switched off, nothing is fetched", async () => {
  outside.asked.length = 0;
  expect(await codeOf(fetcher({ enabled: false })(`${outside.origin}/image`, limits()))).toBe("invalid_image_url");
  expect(outside.asked).toEqual([]);
});
