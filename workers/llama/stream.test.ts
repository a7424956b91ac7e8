import { expect, test } from "bun:test";
import { ApiError, type ErrorBody } from "@oxbow/contract";
import { streamResponse } from "./stream.ts";

const request = (signal?: AbortSignal) => new Request("http://worker/", signal ? { signal } : {});
const silent = () => {};
const COUNTS = { prompt_tokens: 3, completion_tokens: 2 };

test("a stream ends with [DONE]", async () => {
  const answer = await streamResponse(request(), silent, async (send) => {
    send("data: 1\n\n");
    await Bun.sleep(0);
    send("data: 2\n\n");
    return COUNTS;
  });
  expect(answer.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
  expect(await answer.text()).toBe("data: 1\n\ndata: 2\n\ndata: [DONE]\n\n");
});

test("a caller who asks for the counts finds them behind [DONE], and nobody else does", async () => {
  const asking = new Request("http://worker/", { headers: { "x-oxbow-usage": "1" } });
  for (const [from, field, end] of [
    [asking, "1", ': usage {"prompt_tokens":3,"completion_tokens":2}\n'],
    [request(), null, ""],
  ] as const) {
    const answer = await streamResponse(from, silent, async () => COUNTS);
    expect(answer.headers.get("x-oxbow-usage")).toBe(field);
    expect(await answer.text()).toBe(`data: [DONE]\n\n${end}`);
  }
});

test("what fails before the first event is thrown, for a status of its own", async () => {
  const failing = streamResponse(request(), silent, async () => {
    throw new ApiError("engine_failed", "No.");
  });
  await expect(failing).rejects.toMatchObject({ row: "engine_failed" });
});

test("what fails later ends the stream with an error event and no [DONE]", async () => {
  const answer = await streamResponse(request(), silent, async (send) => {
    send("data: 1\n\n");
    throw new ApiError("engine_failed", "No.");
  });
  const events = (await answer.text()).split("\n\n");
  expect(events).toHaveLength(3);
  const { error } = JSON.parse(events[1]!.slice("data: ".length)) as ErrorBody;
  expect(error).toEqual({ message: "No.", type: "server_error", param: null, code: "engine_failed" });
});

test("what takes long to begin sends its headers and a comment first", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const produce = async (send: (events: string) => void) => {
    await promise;
    send("data: 1\n\n");
    return COUNTS;
  };
  const answer = await streamResponse(request(), silent, produce, 1);
  resolve();
  expect(await answer.text()).toBe(": keepalive\ndata: 1\n\ndata: [DONE]\n\n");
});

test("a reader who leaves is known to whoever writes", async () => {
  const left = Promise.withResolvers<void>();
  const answer = await streamResponse(request(), silent, (send, signal) => {
    signal.addEventListener("abort", () => left.resolve());
    send("data: 1\n\n");
    return new Promise(() => {});
  });
  await answer.body!.cancel();
  await left.promise;
});

test("a reader who never reads is cut off before the memory is full", async () => {
  const event = `data: ${"x".repeat(1 << 20)}\n\n`;
  let sent = 0;
  const answer = await streamResponse(request(), silent, async (send, signal) => {
    while (!signal.aborted && sent < 64) {
      send(event);
      sent++;
    }
    throw signal.reason;
  });
  expect(sent).toBeLessThan(20);
  await expect(answer.text()).rejects.toThrow("fell too far behind");
});
