// What the suites that need a running server have in common.

import { afterAll, beforeAll, setDefaultTimeout, test } from "bun:test";
import { type RunningServer, type StartOptions, startServer } from "./harness.ts";

/** Starts one server for all tests of a file and ends it after them. Call it at the top of the file. */
export function useServer(options: StartOptions = { simulate: true }): () => RunningServer {
  setDefaultTimeout(30_000);
  let server: RunningServer | undefined;
  beforeAll(async () => {
    server = await startServer(options);
  }, 90_000);
  afterAll(async () => {
    await server?.stop();
  }, 30_000);
  return () => server!;
}

/** Call it at the end of the file: holds everything that went over the wire before to the contract. */
export function testTraffic(server: () => RunningServer): void {
  test("every answer and every chunk above kept the contract", () => server().assertTraffic());
}

/** A model of the catalogue, which the simulator serves. */
export const MODEL = "llama-3.3-70b";

export const HELLO = [{ role: "user" as const, content: "Say hello in one sentence." }];

export const WEATHER = {
  type: "function" as const,
  function: {
    name: "get_weather",
    description: "Get the weather for a location",
    parameters: {
      type: "object",
      properties: {
        location: { type: "string" },
        unit: { type: "string", enum: ["celsius", "fahrenheit"] },
      },
      required: ["location"],
    },
  },
};

/** Makes a model call the tool twice, if it may. */
export const TWO_CITIES = [
  { role: "user" as const, content: "What is the weather in Paris and in Tokyo? Use get_weather." },
];
