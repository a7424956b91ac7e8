// Sends a call to an engine a second time, for the mirror: at an engine that has room and that nobody waits for, without
// admission, ledger or a word on the engine's standing. What comes back is read to its end, or to a bound.

import { ApiError, RelayedError, USAGE_FIELD } from "@oxbow/contract";
import { type EngineAnswer, EngineUnreachable, type Fleet } from "./fleet/fleet.ts";
import { ANSWER_BYTES_MAX, type SecondAnswer, type SendSecond } from "./traffic/traffic.ts";

export interface SecondCallOptions {
  fleet: Pick<Fleet, "engines" | "place">;
  /** Callers who wait in line. */
  waiting: () => number;
  /** Id of the class that goes last. */
  priority: string | undefined;
}

/** An engine whose `accounts` are this one alone is there for mirrors, and never for callers. */
const MIRROR = "mirror";

export function createSecondCall({ fleet, waiting, priority }: SecondCallOptions): SendSecond {
  /** Engines that it must not go to. Where the operator names none: those that have much to do. */
  function exceptions({ engine, tag }: Parameters<SendSecond>[0]): ReadonlySet<string> {
    const named = engine !== undefined || tag !== undefined;
    const fits = (each: ReturnType<Fleet["engines"]>[number]) =>
      named
        ? (engine === undefined || each.id === engine) && (tag === undefined || each.tags.includes(tag))
        : each.used < each.slots / 2;
    return new Set(fleet.engines().flatMap((each) => (fits(each) ? [] : [each.id])));
  }

  return async (to, path, body, signal) => {
    // Whoever waits goes first. An engine that is named is the operator's own choice.
    if (to.engine === undefined && to.tag === undefined && waiting() > 0) return null;
    try {
      const placed = fleet.place(to.model, { accountId: MIRROR, not: exceptions(to) });
      if (placed === null) return null;
      const { engine } = placed;
      try {
        const sent = withModel(body, to.model);
        const answer = await engine.call(path, sent.bytes, {
          signal,
          model: to.model,
          headers: sent.stream ? { [USAGE_FIELD]: "1" } : {},
          ...(engine.remote !== null && priority !== undefined ? { priority } : {}),
        });
        return { engine: engine.id, status: 200, code: "", ...(await readAll(answer)) };
      } catch (error) {
        return { ...failed(error), engine: engine.id };
      } finally {
        placed.release();
      }
    } catch (error) {
      return failed(error);
    }
  };
}

function withModel(body: Uint8Array, model: string): { bytes: Uint8Array; stream: boolean } {
  const fields = JSON.parse(new TextDecoder().decode(body)) as Record<string, unknown>;
  const stream = fields.stream === true;
  if (fields.model === model) return { bytes: body, stream };
  return { bytes: new TextEncoder().encode(JSON.stringify({ ...fields, model })), stream };
}

/** An answer of a thousand tokens, as a stream of events; what comes after it is read more slowly. */
const HURRY_BYTES_MAX = 262_144;
const PAUSE_MS = 20;

type Read = Pick<SecondAnswer, "bytes" | "cut" | "tokensIn" | "tokensOut">;

async function readAll(answer: EngineAnswer): Promise<Read> {
  if (answer.kind === "whole") {
    const { bytes, usage } = answer;
    return { bytes, cut: false, tokensIn: usage?.prompt_tokens ?? null, tokensOut: usage?.completion_tokens ?? null };
  }
  const parts: Uint8Array[] = [];
  let size = 0;
  try {
    for (;;) {
      const frame = await answer.events.next();
      if (frame === null) break;
      size += frame.bytes.length;
      if (size > ANSWER_BYTES_MAX) break;
      parts.push(frame.bytes);
      // One that talks and talks must not take the thread from those who serve callers.
      if (size > HURRY_BYTES_MAX) await Bun.sleep(PAUSE_MS);
      if (!frame.last) continue;
      const { usage } = frame;
      const tokens = { tokensIn: usage?.prompt_tokens ?? null, tokensOut: usage?.completion_tokens ?? null };
      return { bytes: Buffer.concat(parts), cut: false, ...tokens };
    }
    return { bytes: Buffer.concat(parts), cut: size > ANSWER_BYTES_MAX, tokensIn: null, tokensOut: null };
  } finally {
    answer.events.cancel();
  }
}

function failed(error: unknown): SecondAnswer {
  const none = { engine: "", bytes: new Uint8Array(), cut: false, tokensIn: null, tokensOut: null };
  if (error instanceof ApiError) return { ...none, status: error.kind.status, code: error.row };
  if (error instanceof RelayedError) return { ...none, status: error.status, code: "engine_error" };
  return { ...none, status: 0, code: error instanceof EngineUnreachable ? "unreachable" : "no_answer" };
}
