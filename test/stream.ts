// A chat stream as it stood on the wire, taken apart once, so that rules can ask simple questions of it.

export interface SeenDelta {
  role?: unknown;
  content?: unknown;
  tool_calls?: { index?: unknown; id?: unknown; type?: unknown; function?: { name?: unknown; arguments?: unknown } }[];
  function_call?: { name?: unknown; arguments?: unknown };
  [key: string]: unknown;
}

export interface SeenChunk {
  choices?:
    | { index?: unknown; delta?: SeenDelta; finish_reason?: unknown; text?: unknown; logprobs?: unknown }[]
    | null;
  usage?: Record<string, unknown> | null;
  error?: unknown;
  [key: string]: unknown;
}

export interface SeenStream {
  /** The body as text. */
  raw: string;
  /** What the events say: JSON, or text that is none. `[DONE]` and errors are not among them. */
  chunks: SeenChunk[];
  /** Data that is not JSON and not `[DONE]`. */
  garbage: string[];
  errors: SeenChunk[];
  /** False when the client hung up before the end: then nothing is asked of the end. */
  whole: boolean;
  /** The body of the request. */
  request: Record<string, unknown>;
}

export function seenStream(raw: string, request: Record<string, unknown>, whole: boolean): SeenStream {
  const seen: SeenStream = { raw, chunks: [], garbage: [], errors: [], whole, request };
  // An event that a hang-up has cut is no event.
  for (const block of raw.slice(0, whole ? undefined : raw.lastIndexOf("\n\n") + 2).split("\n\n")) {
    const data = block.split("\n").filter((line) => line.startsWith("data:"));
    const text = data.map((line) => line.slice(5).trimStart()).join("\n");
    if (data.length === 0 || text.trim() === "[DONE]") continue;
    try {
      const chunk = JSON.parse(text) as SeenChunk;
      (chunk.error ? seen.errors : seen.chunks).push(chunk);
    } catch {
      seen.garbage.push(text.slice(0, 200));
    }
  }
  return seen;
}

/** Deltas of one choice, in order. */
export function deltasOf(stream: SeenStream): Map<unknown, { delta: SeenDelta; finish: unknown; has: boolean }[]> {
  const byChoice = new Map<unknown, { delta: SeenDelta; finish: unknown; has: boolean }[]>();
  for (const choice of stream.chunks.flatMap((chunk) => chunk.choices ?? [])) {
    const list = byChoice.get(choice.index) ?? [];
    list.push({ delta: choice.delta ?? {}, finish: choice.finish_reason, has: "finish_reason" in choice });
    byChoice.set(choice.index, list);
  }
  return byChoice;
}
