import { afterAll, expect, test } from "bun:test";
import { loadConfig } from "../config.ts";
import { createFleet, type Placement } from "./fleet.ts";

// The fleet with the project's own tables and the worker that every laptop can run.
const config = loadConfig({ env: {}, simulate: true });
const log: Record<string, unknown>[] = [];
const note = (fields: object, text: string) => void log.push({ ...fields, text });
const fleet = createFleet({
  engines: config.engines
    .filter(({ kind }) => config.kinds[kind]!.simulated)
    .map((entry) => ({ ...entry, options: { ttftMs: 5, itlMs: 5 } })),
  kinds: config.kinds,
  models: config.models,
  log: { info: note, error: note },
  env: { PATH: process.env.PATH },
  loadMsMax: config.limits.loadMsMax,
});
afterAll(() => fleet.stop());

const pid = () => log.findLast(({ text }) => text === "worker started")!.pid as number;
const call = ({ engine }: Placement, modelId: string, more: object, signal: AbortSignal) => {
  const messages = [{ role: "user", content: "Count." }];
  const body = JSON.stringify({ model: modelId, messages, ...more });
  return engine.send("/v1/chat/completions", new TextEncoder().encode(body), { signal });
};

test("one simulator makes the whole catalogue warm", async () => {
  await fleet.start();
  expect(fleet.ready()).toBe(true);
  const states = fleet.states();
  expect(states.map(({ id }) => id).sort()).toEqual(config.models.map(({ id }) => id).sort());
  for (const status of states) expect(status).toMatchObject({ state: "warm", simulated: true, engine: "simulator" });
});

test("killed under sixteen streams it breaks them off, comes back, and answers the next call", async () => {
  const model = fleet.states()[0]!.id;
  const { signal } = new AbortController();
  const placements = Array.from({ length: 16 }, () => fleet.place(model)!);
  const streams = await Promise.all(
    placements.map((placement) => call(placement, model, { stream: true, max_tokens: 4_000 }, signal)),
  );
  expect(streams.map(({ status }) => status)).toEqual(Array(16).fill(200));
  const readers = streams.map((stream) => stream.body!.getReader());
  await Promise.all(readers.map((reader) => reader.read()));

  const warm = new Promise<void>((resolve) => {
    fleet.onChange(({ id, state }) => {
      if (id === model && state === "warm") resolve();
    });
  });
  process.kill(pid(), "SIGKILL");
  const ends = await Promise.all(readers.map((reader) => drain(reader).catch(() => "broken off")));
  expect(ends).toEqual(Array(16).fill("broken off"));
  await warm;
  for (const placement of placements) placement.release();
  const placement = fleet.place(model)!;
  const answer = await call(placement, model, { max_tokens: 1 }, signal);
  expect(answer.status).toBe(200);
  await answer.bytes();
  placement.release();
});

async function drain(reader: Pick<ReadableStreamDefaultReader<Uint8Array>, "read">): Promise<string> {
  for (;;) {
    const { done } = await reader.read();
    if (done) return "finished";
  }
}
