import { afterAll, describe, expect, test } from "bun:test";
import { type RelayedError, sseEvent } from "@oxbow/contract";
import fc from "fast-check";
import { deltasOf } from "../../test/stream.ts";
import { bytesOf, chunk, DONE, EVERY, events, framesOf, HEAD, openEngines, read, textOf, write } from "./testing.ts";

const { call, streamed, stop } = openEngines();
afterAll(stop);

describe("a stream", () => {
  test("that ends without [DONE] is whole when every choice has ended, and broken off when not", async () => {
    const good = write(chunk({ role: "assistant", content: "a" }), chunk({}, "stop"));
    expect(await streamed(good.replace(DONE, ""))).toBe(good);
    const cut = write(chunk({ role: "assistant", content: "a" })).replace(DONE, "");
    const error = await streamed(cut).catch((thrown) => thrown);
    expect(error.row).toBe("engine_interrupted");
    const strict = await streamed(good.replace(DONE, ""), {}, []).catch((thrown) => thrown);
    expect(strict.row).toBe("engine_interrupted");
  });

  test("that is aborted, empty, or holds what is no event, is broken off", async () => {
    for (const text of [
      write(chunk({ role: "assistant", content: "a" }), chunk({}, "abort")),
      write(chunk({ role: "assistant", content: "a" }), chunk({}, "error")),
      DONE,
      "",
      `data: {"id":"chatcmpl-1","choices":[{"ind\n\n${DONE}`,
      `data: 42\n\n${DONE}`,
    ]) {
      const error = await streamed(text).catch((thrown) => thrown);
      expect([text, error.row]).toEqual([text, "engine_interrupted"]);
    }
  });

  test("that carries an error ends with it, and what was good comes first", async () => {
    const told = { error: { message: "no more blocks", type: "BadRequestError", param: null, code: 400 } };
    const answer = await call(
      () => events([bytesOf(sseEvent(chunk({ role: "assistant", content: "a" })) + sseEvent(told) + DONE)]),
      { model: "m", stream: true },
    );
    if (answer.kind !== "stream") throw new Error("not a stream");
    expect(textOf([(await answer.events.next())!])).toBe(sseEvent(chunk({ role: "assistant", content: "a" })));
    const frame = (await answer.events.next())!;
    expect(frame.last).toBe(true);
    expect(read(textOf([frame])).errors).toHaveLength(1);
    expect((frame.error as RelayedError).body.error).toEqual({
      message: "no more blocks",
      type: "invalid_request_error",
      param: null,
      code: null,
    });
  });

  test("tells its counts to us, though the caller did not ask, and estimates them where the engine is silent", async () => {
    const counted = { ...HEAD, choices: [], usage: { prompt_tokens: 11, completion_tokens: 2, total_tokens: 13 } };
    const good = [chunk({ role: "assistant", content: "abcdefgh" }), chunk({}, "stop")];
    for (const repairs of [EVERY, []]) {
      const body = { model: "m", messages: [], stream: true };
      const frames = await framesOf(await call(() => events([bytesOf(write(...good, counted))]), body, repairs));
      expect(frames.at(-1)!.usage).toEqual({ prompt_tokens: 11, completion_tokens: 2 });
      expect(textOf(frames)).toBe(write(...good));
    }
    const body = { model: "m", messages: [{ role: "user", content: "x".repeat(400) }], stream: true };
    const silent = await framesOf(await call(() => events([bytesOf(write(...good))]), body));
    expect(silent.at(-1)!.usage).toEqual({ prompt_tokens: 108, completion_tokens: 2 });
  });

  test("that nobody asked for and that says nothing is no answer", async () => {
    const error = await call(() => events([bytesOf(DONE)]), { model: "m" }).catch((thrown) => thrown);
    expect(error.row).toBe("engine_failed");
  });

  test("moves reasoning to where every SDK looks for it", async () => {
    const text = write(
      chunk({ role: "assistant", reasoning: "hm" }),
      chunk({ thinking: " so" }),
      chunk({ content: "yes" }),
      chunk({}, "stop"),
    );
    expect(await streamed(text)).toBe(
      write(
        chunk({ role: "assistant", reasoning_content: "hm" }),
        chunk({ reasoning_content: " so" }),
        chunk({ content: "yes" }),
        chunk({}, "stop"),
      ),
    );
  });

  test("cuts reasoning out of its text, wherever the marks are torn", async () => {
    const said = "<think>\nif a < b\n</think>\n\nthen <b>";
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(fc.integer({ min: 1, max: said.length - 1 }), { maxLength: 8 }), async (cuts) => {
        const borders = [0, ...cuts.sort((a, b) => a - b), said.length];
        const pieces = borders.slice(1).map((end, index) => said.slice(borders[index], end));
        const text = write(...pieces.map((content) => chunk({ role: "assistant", content })), chunk({}, "stop"));
        const deltas = deltasOf(read(await streamed(text)))
          .get(0)!
          .map(({ delta }) => delta);
        expect(deltas.map(({ reasoning_content }) => reasoning_content ?? "").join("")).toBe("if a < b\n");
        expect(deltas.map(({ content }) => content ?? "").join("")).toBe("then <b>");
      }),
      { numRuns: 60 },
    );
  });
});
