// Every call of every modality with the official client for Node, and what each came to: the same as test/python/matrix.py.

import OpenAI, { toFile } from "openai";

export interface Question {
  models: { text: string; ear: string; mouth: string; brush: string; eyes: string };
  /** Base64: speech as mp3, and two PNGs. */
  recording: string;
  icon: string;
  mask: string;
  /** Where the icon can be fetched. */
  link: string;
}

/** What a call came to. Bytes are base64. */
export interface Found {
  vectors?: number[][];
  images?: string[];
  url?: string;
  sound?: string;
  text?: string;
  /** Their types. */
  events?: string[];
  /** It failed. */
  error?: string;
}

export type Cells = Record<string, Found>;

export async function askAll(question: Question, baseURL: string, apiKey: string): Promise<Cells> {
  const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
  const { models } = question;
  const cells: Cells = {};
  const cell = async (name: string, ask: () => Promise<Found>) => {
    cells[name] = await ask().catch((error: unknown): Found => ({ error: String(error) }));
  };
  await embeddings();
  await images();
  await recordings();
  await speech();
  await messages();
  return cells;

  async function embeddings(): Promise<void> {
    const texts = ["A fox jumps.", "Nobody listens."];
    const embed = async (fields: Partial<OpenAI.EmbeddingCreateParams>) => {
      const { data } = await client.embeddings.create({ model: models.text, input: texts, ...fields });
      return { vectors: data.map(({ embedding }) => embedding) };
    };
    await cell("embeddings by default", () => embed({}));
    await cell("embeddings as float", () => embed({ encoding_format: "float" }));
    await cell("embeddings cut", () => embed({ dimensions: 16 }));
    await cell("embeddings of tokens", () => embed({ input: [[7, 8, 9], [10]] }));
  }

  async function images(): Promise<void> {
    const png = async (name: "icon" | "mask") =>
      toFile(Buffer.from(question[name], "base64"), `${name}.png`, { type: "image/png" });
    // `seed` is not OpenAI's.
    const prompt = { model: models.brush, prompt: "a lighthouse", seed: 5 } as { model: string; prompt: string };
    const base64 = { response_format: "b64_json", n: 2, output_format: "webp" } as const;
    const streamed = { stream: true, partial_images: 1 } as const;
    const edited = async () => ({ ...prompt, image: await png("icon"), mask: await png("mask") });
    const link = ({ data }: OpenAI.ImagesResponse): Found => ({ url: data![0]!.url! });
    const all = ({ data }: OpenAI.ImagesResponse): Found => ({ images: data!.map(({ b64_json }) => b64_json!) });
    const each = async (events: AsyncIterable<{ type: string; b64_json: string }>): Promise<Found> => {
      const list = await Array.fromAsync(events);
      return { events: list.map(({ type }) => type), images: list.map(({ b64_json }) => b64_json) };
    };
    await cell("images.generate by link", async () => link(await client.images.generate(prompt)));
    await cell("images.generate as base64", async () => all(await client.images.generate({ ...prompt, ...base64 })));
    await cell("images.generate streamed", async () => each(await client.images.generate({ ...prompt, ...streamed })));
    await cell("images.edit by link", async () => link(await client.images.edit(await edited())));
    await cell("images.edit as base64", async () => all(await client.images.edit({ ...(await edited()), ...base64 })));
    await cell("images.edit streamed", async () =>
      each(await client.images.edit({ ...(await edited()), ...streamed })),
    );
  }

  async function recordings(): Promise<void> {
    const call = async () => ({
      model: models.ear,
      file: await toFile(Buffer.from(question.recording, "base64"), "speech.mp3"),
    });
    const textOf = (answer: string | { text: string }): Found => ({
      text: typeof answer === "string" ? answer : answer.text,
    });
    const { transcriptions, translations } = client.audio;
    for (const response_format of ["json", "text", "srt", "vtt", "verbose_json"] as const) {
      await cell(`audio.transcriptions as ${response_format}`, async () =>
        textOf(await transcriptions.create({ ...(await call()), response_format })),
      );
      await cell(`audio.translations as ${response_format}`, async () =>
        textOf(await translations.create({ ...(await call()), response_format })),
      );
    }
    await cell("audio.transcriptions with words", async () => {
      const { words } = await transcriptions.create({
        ...(await call()),
        response_format: "verbose_json",
        timestamp_granularities: ["word", "segment"],
      });
      return { text: words!.map(({ word }) => word).join(" ") };
    });
    await cell("audio.transcriptions streamed", async () => {
      const events = await Array.fromAsync(await transcriptions.create({ ...(await call()), stream: true }));
      const deltas = events.flatMap((event) => (event.type === "transcript.text.delta" ? [event.delta] : []));
      return { events: [...new Set(events.map(({ type }) => type))].sort(), text: deltas.join("") };
    });
  }

  async function speech(): Promise<void> {
    const call = { model: models.mouth, voice: "heart", input: "Hello. And one more sentence." };
    const base64Of = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
    for (const response_format of ["mp3", "opus", "aac", "flac", "wav", "pcm"] as const) {
      const say = (fields: object = {}) => client.audio.speech.create({ ...call, response_format, ...fields });
      await cell(`audio.speech as ${response_format}`, async () => {
        return { sound: base64Of(new Uint8Array(await (await say()).arrayBuffer())) };
      });
      await cell(`audio.speech as ${response_format}, streamed`, async () => {
        const pieces = await Array.fromAsync((await say()).body as unknown as AsyncIterable<Uint8Array>);
        return { sound: base64Of(Buffer.concat(pieces)) };
      });
      await cell(`audio.speech as ${response_format}, in events`, async () => {
        const lines = (await (await say({ stream_format: "sse" })).text()).split("\n");
        const events = lines.flatMap((line) => (line.startsWith("data: ") ? [JSON.parse(line.slice(6))] : []));
        const sound = events.flatMap(({ audio }) => (audio === undefined ? [] : [Buffer.from(audio, "base64")]));
        return { events: [...new Set(events.map(({ type }) => type))].sort(), sound: base64Of(Buffer.concat(sound)) };
      });
    }
  }

  async function messages(): Promise<void> {
    const dataUrl = `data:image/png;base64,${question.icon}`;
    const ask = (...urls: string[]) => {
      const parts = urls.map((url) => ({ type: "image_url" as const, image_url: { url, detail: "low" as const } }));
      return {
        model: models.eyes,
        messages: [{ role: "user" as const, content: [{ type: "text" as const, text: "What is this?" }, ...parts] }],
        temperature: 0,
        max_completion_tokens: 8,
      };
    };
    const look = async (url: string) => {
      const { choices } = await client.chat.completions.create(ask(url));
      return { text: choices[0]!.message.content! };
    };
    await cell("an image in a message by link", () => look(question.link));
    await cell("an image in a message as base64", () => look(dataUrl));
    await cell("images in a message, streamed", async () => {
      const chunks = await Array.fromAsync(
        await client.chat.completions.create({ ...ask(dataUrl, dataUrl), stream: true }),
      );
      return { text: chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("") };
    });
  }
}
