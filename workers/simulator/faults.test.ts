// Every fault on every endpoint but those of text, which have tests of their own: a program can try out what it does with
// each of them, whatever it calls.

import { expect, test } from "bun:test";
import { createSimulator } from "./server.ts";

const model = (id: string, category: string, capabilities: string[] = []) => {
  return { id, aliases: [], category, capabilities, contextTokens: 512 };
};
const handle = createSimulator({
  socket: "",
  models: [
    model("text", "embeddings"),
    model("ear", "audio", ["transcription"]),
    model("mouth", "audio", ["speech"]),
    model("brush", "images"),
    model("eye", "detection"),
  ],
  slots: 8,
  threads: 1,
  options: {},
});

const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const post = (path: string, body: object, fault: object) =>
  handle(
    new Request(`http://worker/v1${path}`, {
      method: "POST",
      body: JSON.stringify({ ...body, x_simulate: { fault } }),
    }),
  );

/** The shortest WAV there is: a tenth of a second of silence. */
function wav(): File {
  const bytes = Buffer.alloc(44 + 3200);
  bytes.write("RIFF", 0);
  bytes.writeUInt32LE(36 + 3200, 4);
  bytes.write("WAVEfmt ", 8);
  for (const [value, at, size] of [
    [16, 16, 4],
    [1, 20, 2],
    [1, 22, 2],
    [16_000, 24, 4],
    [32_000, 28, 4],
    [2, 32, 2],
    [16, 34, 2],
  ] as const)
    bytes.writeUIntLE(value, at, size);
  bytes.write("data", 36);
  bytes.writeUInt32LE(3200, 40);
  return new File([bytes], "a.wav");
}

const ENDPOINTS: Record<string, (fault: object) => Promise<Response>> = {
  embeddings: (fault) => post("/embeddings", { model: "text", input: "a" }, fault),
  detections: (fault) => post("/images/detections", { model: "eye", image: `data:image/png;base64,${PNG}` }, fault),
  images: (fault) => post("/images/generations", { model: "brush", prompt: "a", size: "256x256" }, fault),
  speech: (fault) => post("/audio/speech", { model: "mouth", voice: "a", input: "a" }, fault),
  "speech in events": (fault) =>
    post("/audio/speech", { model: "mouth", voice: "a", input: "a", stream_format: "sse" }, fault),
  transcriptions(fault) {
    const form = new FormData();
    form.set("model", "ear");
    form.set("file", wav());
    form.set("x_simulate", JSON.stringify({ fault }));
    return handle(new Request("http://worker/v1/audio/transcriptions", { method: "POST", body: form }));
  },
};

test.each(Object.keys(ENDPOINTS))("%s fails as it is told", async (name) => {
  const ask = ENDPOINTS[name]!;
  const limited = await ask({ kind: "error", error: "rate_limit_exceeded", retryAfterMs: 1500 });
  expect([limited.status, limited.headers.get("retry-after-ms")]).toEqual([429, "1500"]);
  expect((await ask({ kind: "html" })).status).toBe(502);
  expect((await ask({ kind: "empty" })).status).toBe(200);
  expect(await (await ask({ kind: "empty" })).text()).toBe("");

  const cut = await ask({ kind: "reset" });
  expect(await cut.text().catch(() => "cut")).toBe("cut");

  const streams = name.startsWith("speech");
  const broken = await ask({ kind: "interrupt" });
  expect(broken.status).toBe(streams ? 200 : 502);
  if (name === "speech in events") expect(await broken.text()).toContain('data: {"error":');
  if (name === "speech") expect(await broken.text().catch(() => "cut")).toBe("cut");
  const garbage = await ask({ kind: "garbage" });
  if (!streams) expect(await garbage.json().catch(() => "no JSON")).toBe("no JSON");
});

test.each(Object.keys(ENDPOINTS))("%s stalls as it is told, until its caller has had enough", async (name) => {
  const begun = ENDPOINTS[name]!({ kind: "stall", afterTokens: 0 }).then((answer) => answer.text());
  expect(await Promise.race([begun, Bun.sleep(50).then(() => "nothing yet")])).toBe("nothing yet");
});
