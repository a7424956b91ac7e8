import { afterAll, expect, test } from "bun:test";
import type { WeightsError } from "./errors.ts";
import { createHub } from "./hub.ts";

/** What stands where the hub should be. */
let answer: (path: string) => Response;
let asked = 0;
const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  fetch(request) {
    asked++;
    return answer(new URL(request.url).pathname);
  },
});
afterAll(() => server.stop(true));
const endpoint = server.url.origin;
const place = { endpoint, cache: "/nowhere", token: undefined, offline: false };
const hub = createHub(place, { now: () => 0, sleep: () => Promise.resolve() });
const COMMIT = "0".repeat(40);

async function failureOf(work: Promise<unknown>) {
  asked = 0;
  const { problem, message } = (await work.catch((thrown) => thrown)) as WeightsError;
  return { problem, message, asked };
}
const page = () =>
  new Response("<html><head><title>Sign in</title></head></html>", { headers: { "content-type": "text/html" } });

test("a page in place of the hub is said to be one, with its address, and is not asked for again", async () => {
  answer = page;
  const url = `${endpoint}/api/models/org/model/revision/main`;
  expect(await failureOf(hub.commitOf("org/model", "main"))).toEqual({
    problem: "unreachable",
    message: `${url} answered with text/html, a page titled 'Sign in', instead of JSON, so it is no hub, or something stands before the hub: a proxy, or a page to log in at. HF_ENDPOINT names another.`,
    asked: 1,
  });
});

test("a page to which the hub points is named by its own address", async () => {
  answer = (path) => (path === "/login" ? page() : Response.redirect("/login?next=secret"));
  const { message } = await failureOf(hub.filesOf("org/model", COMMIT));
  expect(message).toStartWith(`${endpoint}/login answered with text/html`);
});

test("a page in place of a file is no file, and is not asked for until the patience is gone", async () => {
  answer = page;
  const { message } = await failureOf(hub.open("org/model", COMMIT, "m.gguf", 0, new AbortController().signal));
  expect(message).toContain(
    `/m.gguf answered with text/html, a page titled 'Sign in', instead of m.gguf, so it is no hub`,
  );
  const html = await hub.open("org/model", COMMIT, "README.html", 0, new AbortController().signal);
  expect(html.ok).toBeTrue();
});

test("a list without an end is hung up on, and one of too many files is not believed", async () => {
  let sent = 0;
  const piece = new TextEncoder().encode(" ".repeat(65_536));
  answer = () =>
    new Response(
      new ReadableStream({
        pull(controller) {
          sent += piece.length;
          controller.enqueue(piece);
        },
      }),
    );
  const endless = await failureOf(hub.filesOf("org/model", COMMIT));
  expect(endless).toMatchObject({ problem: "unsafe", asked: 1 });
  expect(endless.message).toContain("longer than 8388608 bytes");
  expect(sent).toBeLessThan(32_000_000);

  const files = Array.from({ length: 40_000 }, (_, at) => ({ type: "file", path: `${at}`, size: 1, oid: COMMIT }));
  const text = JSON.stringify(files);
  answer = (path) => new Response(text, { headers: { link: `<${path}?cursor=1>; rel="next"` } });
  const many = await failureOf(hub.filesOf("org/model", COMMIT));
  expect(many.message).toContain("more than 100000 files");
});
