// One look at an engine between calls: is it well, is it ill, is nobody there.

import { type Engine, EngineUnreachable } from "../engines/engines.ts";
import type { Look } from "./health.ts";

const LOOK_MS_MAX = 2_000;
/** A server that closes a connection at the moment at which it is used again is still there; and the death of a process
 * of ours is known within this time, and told by other means. */
const AGAIN_MS = 50;

/** @param there whether the engine counts as there, at the moment it is asked */
export function createLook(engine: Engine, there: () => boolean): () => Promise<Look> {
  return async () => {
    const first = await lookOnce(engine);
    if (first !== "gone" || !there()) return first;
    await Bun.sleep(AGAIN_MS);
    return lookOnce(engine);
  };
}

async function lookOnce(engine: Engine): Promise<Look> {
  try {
    const answer = await engine.ask("GET", engine.remote?.health ?? "/health", AbortSignal.timeout(LOOK_MS_MAX));
    void answer.body?.cancel();
    return answer.ok ? "well" : "ill";
  } catch (error) {
    return error instanceof EngineUnreachable ? "gone" : "ill";
  }
}
