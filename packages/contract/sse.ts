// Server-sent events, written in the one way that every SDK reads, and read in every way that engines write.
// Writing: an event is `data: <json>\n\n`, a keep-alive is a comment line of its own without a blank line (a blank line
// after a comment makes some SDKs see an empty event), never `id:` or `retry:`, and `event:` only where the API has it.

export const SSE_HEADERS = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache",
  "x-accel-buffering": "no",
} as const;

/** One event. Written with one `write`, so that a client sees whole events even without buffering. */
export function sseEvent(data: unknown): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}

/** One event of the Responses API, where a line before the data repeats its type. */
export function sseTypedEvent(data: { type: string; sequence_number: number }): string {
  return `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;
}

export const SSE_DONE = "data: [DONE]\n\n";

/** Keeps proxies and clients from giving up on a silent stream. May only stand between events. */
export const SSE_KEEPALIVE = ": keepalive\n";

/** Data of one event: the JSON text, or `[DONE]`. Comments and fields other than `data` are dropped. */
export interface SseEvent {
  data: string;
}

/**
 * Cuts a byte stream into events, whatever the chunk borders: CRLF or LF, `data:` with or without a space, several data
 * lines, a border inside a UTF-8 character, a last event without its blank line.
 *
 * @param eventBytesMax an event longer than this is an error: nothing an engine says may fill the memory
 */
export function createSseReader(eventBytesMax = 8 * 1024 * 1024) {
  const decoder = new TextDecoder();
  /** Of a line that has not ended: looked through once, and put together when it ends, in however small pieces it comes. */
  let begun: string[] = [];
  let begunSize = 0;
  let data: string[] = [];
  let size = 0;

  function take(line: string, into: SseEvent[]): void {
    if (line === "") {
      if (data.length > 0) into.push({ data: data.join("\n") });
      data = [];
      size = 0;
      return;
    }
    if (!line.startsWith("data:")) return;
    const value = line.slice(line.charCodeAt(5) === 0x20 ? 6 : 5);
    size += value.length + 1;
    if (size > eventBytesMax) throw new Error(`an event is longer than ${eventBytesMax} bytes`);
    data.push(value);
  }

  function keep(text: string): void {
    if (text === "") return;
    begun.push(text);
    begunSize += text.length;
    if (begunSize > eventBytesMax) throw new Error(`an event is longer than ${eventBytesMax} bytes`);
  }

  return {
    /** The events that these bytes complete. */
    push(bytes: Uint8Array): SseEvent[] {
      const text = decoder.decode(bytes, { stream: true });
      const events: SseEvent[] = [];
      if (!text.includes("\n")) {
        keep(text);
        return events;
      }
      const all = begun.join("") + text;
      let from = 0;
      for (;;) {
        const end = all.indexOf("\n", from);
        if (end < 0) break;
        take(all.slice(from, all.charCodeAt(end - 1) === 0x0d && end > from ? end - 1 : end), events);
        from = end + 1;
      }
      begun = [];
      begunSize = 0;
      keep(all.slice(from));
      return events;
    },
    /** What is left when the stream has ended: an event whose blank line never came. */
    end(): SseEvent[] {
      const events: SseEvent[] = [];
      const rest = begun.join("") + decoder.decode();
      if (rest !== "") take(rest.replace(/\r$/, ""), events);
      begun = [];
      take("", events);
      return events;
    },
  };
}
