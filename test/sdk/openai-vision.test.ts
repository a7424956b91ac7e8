// Images in messages: the official Node client sends them by URL and base64, several at once, with `detail`; hostile ones
// and addresses inside are refused, and nothing inside is ever connected to.

import { afterAll, expect, test } from "bun:test";
import { BadRequestError, OpenAI } from "openai";
import sharp from "sharp";
import { adminPlan, dataWith } from "../data.ts";
import { KEY, startServer } from "../harness.ts";
import { openFiles, pngHead, pngOfZeros } from "../images.ts";
import { MODEL, testTraffic, useServer } from "../suite.ts";

const SEES = "gemma-3-4b";
const red = (width: number, height: number) => sharp({ create: { width, height, channels: 3, background: "#c00" } });
const photo = await red(800, 600).jpeg().toBuffer();
const icon = await red(48, 32).png().toBuffer();

const files = openFiles({
  "/photo.jpg": { bytes: photo, headers: { "content-type": "image/jpeg" } },
  "/wrong-type": { bytes: icon, headers: { "content-type": "text/html" } },
  "/page": { bytes: Buffer.from("<!doctype html>"), headers: { "content-type": "image/png" } },
  "/inside": () => Response.redirect(`http://127.0.0.1:${canary.port}/`),
});
/** What is inside: any connection to it is a failure. */
let touched = 0;
const canary = Bun.listen<undefined>({
  hostname: "127.0.0.1",
  port: 0,
  socket: { open: () => void touched++, data: (socket) => void socket.end() },
});
const data = dataWith(() => {}, adminPlan({ requestsPerMinute: null, tiers: ["free", "premium"] }));
const server = useServer({ simulate: true, env: { OXBOW_FETCH_ALLOW: files.origin, OXBOW_DATA: data.folder } });
afterAll(() => {
  files.stop();
  canary.stop(true);
  data.remove();
});

const client = () => new OpenAI({ baseURL: server().baseUrl, apiKey: KEY, maxRetries: 0 });
type Detail = "low" | "high" | "auto";
const image = (url: string, detail?: Detail) => ({
  type: "image_url" as const,
  image_url: { url, ...(detail && { detail }) },
});
const dataUrl = (bytes: Uint8Array, type = "image/png") =>
  `data:${type};base64,${Buffer.from(bytes).toString("base64")}`;

async function look(parts: ReturnType<typeof image>[], model = SEES): Promise<string> {
  const content = [{ type: "text" as const, text: "What is this?" }, ...parts];
  const answer = await client().chat.completions.create({ model, messages: [{ role: "user", content }] });
  return answer.choices[0]!.message.content!;
}

/** Code and field of the refusal. */
async function refusal(parts: ReturnType<typeof image>[], model?: string): Promise<unknown[]> {
  const error = await look(parts, model).then(
    (text) => new Error(`it was answered: ${text}`),
    (thrown) => thrown,
  );
  if (!(error instanceof BadRequestError)) throw error;
  return [error.code, error.param];
}
const URL_OF = (part: number) => `messages[0].content[${part}].image_url.url`;

test("an image by URL is fetched by the gateway and reaches the engine as bytes", async () => {
  expect(await look([image(`${files.origin}/photo.jpg`)])).toContain("A JPEG image of 800x600 pixels");
  expect(await look([image(`${files.origin}/wrong-type`)])).toContain("A PNG image of 48x32 pixels");
});

test("several images, by URL and base64, stay in their order and take their detail", async () => {
  const said = await look([
    image(dataUrl(icon), "auto"),
    image(`${files.origin}/photo.jpg`, "low"),
    image(dataUrl(photo, "image/jpeg"), "high"),
  ]);
  const sizes = [...said.matchAll(/A (\w+) image of (\d+x\d+)/g)].map(([, kind, size]) => `${kind} ${size}`);
  expect(sizes).toEqual(["PNG 48x32", "JPEG 512x384", "JPEG 800x600"]);
});

test("streamed, and by the responses endpoint", async () => {
  let text = "";
  const messages = [{ role: "user" as const, content: [image(dataUrl(icon))] }];
  for await (const chunk of await client().chat.completions.create({ model: SEES, messages, stream: true })) {
    text += chunk.choices[0]?.delta.content ?? "";
  }
  expect(text).toContain("A PNG image of 48x32 pixels");
  const answer = await client().responses.create({
    model: SEES,
    input: [
      { role: "user", content: [{ type: "input_image", image_url: `${files.origin}/photo.jpg`, detail: "low" }] },
    ],
  });
  expect(answer.output_text).toContain("A JPEG image of 512x384 pixels");
});

test("the responses endpoint names the field as its caller wrote it", async () => {
  const input = [
    {
      role: "user" as const,
      content: [{ type: "input_image" as const, image_url: "data:x", detail: "auto" as const }],
    },
  ];
  const error = await client()
    .responses.create({ model: SEES, input })
    .catch((thrown) => thrown);
  expect([error.code, error.param]).toEqual(["invalid_base64_image", "input[0].content[0].image_url"]);
});

test("a model that cannot see names one that can", async () => {
  const error = await look([image(dataUrl(icon))], MODEL).catch((thrown) => thrown);
  expect([error.status, error.code, error.param]).toEqual([400, "unsupported_value", "messages[0].content[1].type"]);
  const other = error.message.match(/The model `([\w.-]+)` does\./)?.[1];
  expect(await look([image(dataUrl(icon))], other)).toContain("48x32");
});

test("an answer is repeated under its key without fetching again", async () => {
  const options = { headers: { "idempotency-key": crypto.randomUUID() } };
  const messages = [{ role: "user" as const, content: [image(`${files.origin}/photo.jpg`)] }];
  const one = await client().chat.completions.create({ model: SEES, messages }, options);
  files.asked.length = 0;
  const two = await client().chat.completions.create({ model: SEES, messages }, options);
  expect([two.id, files.asked]).toEqual([one.id, []]);
});

const HOSTILE: [what: string, url: () => string | Promise<string>, code: string][] = [
  ["nothing", () => "data:image/png;base64,", "empty_image_file"],
  ["no base64", () => "data:image/png;base64,!!!!", "invalid_base64_image"],
  ["a text in a data: URL", () => "data:text/plain,hello", "invalid_base64_image"],
  ["a name that says png and is HTML", () => `${files.origin}/page`, "invalid_image_format"],
  [
    "SVG",
    () => dataUrl(Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'), "image/svg+xml"),
    "invalid_image_format",
  ],
  ["half an image", () => dataUrl(photo.subarray(0, photo.length / 2), "image/jpeg"), "image_parse_error"],
  ["a bomb of 50,000 by 50,000 zeros", () => dataUrl(pngOfZeros(50_000)), "image_too_large"],
  ["a head of 65,535 by 65,535", () => dataUrl(pngHead(65_535, 65_535)), "image_too_large"],
  ["a redirect inside", () => `${files.origin}/inside`, "invalid_image_url"],
  ["a missing file", () => `${files.origin}/missing`, "failed_to_download_image"],
];

test.each(HOSTILE)("%s is refused", async (_, url, code) => {
  expect(await refusal([image(dataUrl(icon)), image(await url())])).toEqual([code, URL_OF(2)]);
});

test("a hundred images are refused before one is looked at", async () => {
  files.asked.length = 0;
  const many = Array.from({ length: 100 }, () => image(`${files.origin}/photo.jpg`));
  expect(await refusal(many)).toEqual(["too_many_images", "messages"]);
  expect(files.asked).toEqual([]);
});

test("addresses inside are refused in every spelling, and nothing inside is connected to", async () => {
  const at = (host: string) => `http://${host}:${canary.port}/`;
  const hosts = ["127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "0", "localhost", "localhost.", "[::1]"];
  const mapped = ["[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "user@127.0.0.1", "１２７.0.0.1"];
  const others = [
    "http://169.254.169.254/latest/meta-data/",
    "http://[fd00:ec2::254]/",
    "file:///etc/passwd",
    "ftp://x/",
  ];
  for (const url of [...hosts.map(at), ...mapped.map(at), ...others]) {
    expect(await refusal([image(url)])).toEqual(["invalid_image_url", URL_OF(1)]);
  }
  expect(touched).toBe(0);
});

test("nothing is fetched for a caller who has nothing left of his day", async () => {
  const used = dataWith(() => {}, adminPlan({ requestsPerDay: 1, tiers: ["free", "premium"] }));
  const tight = await startServer({
    simulate: true,
    env: { OXBOW_FETCH_ALLOW: files.origin, OXBOW_DATA: used.folder },
  });
  try {
    const ask = () =>
      new OpenAI({ baseURL: tight.baseUrl, apiKey: KEY, maxRetries: 0 }).chat.completions.create({
        model: SEES,
        messages: [{ role: "user", content: [image(`${files.origin}/photo.jpg`)] }],
      });
    await ask();
    files.asked.length = 0;
    expect(await ask().catch((thrown) => thrown.status)).toBe(429);
    expect(files.asked).toEqual([]);
  } finally {
    await tight.stop();
    used.remove();
  }
});

test("what was refused is not counted, and the server holds no more memory", async () => {
  const used = await requestsToday();
  const before = rss();
  for (let round = 0; round < 20; round++) await refusal([image(dataUrl(pngOfZeros(20_000)))]);
  expect(rss() - before).toBeLessThan(150_000_000);
  expect(await requestsToday()).toBe(used);
});

async function requestsToday(): Promise<number> {
  const answer = await fetch(`${server().baseUrl}/usage`, { headers: { authorization: `Bearer ${KEY}` } });
  return ((await answer.json()) as { today: { used: number } }).today.used;
}

/** Bytes that the server's process holds. */
function rss(): number {
  const { stdout } = Bun.spawnSync(["ps", "-o", "rss=", "-p", String(server().pid)]);
  return Number(stdout.toString()) * 1024;
}

testTraffic(server);
