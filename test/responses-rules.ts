// What answers of POST /v1/responses must never be, beyond their shape: keys that strict clients miss, and events in an
// order, or with places, that SDKs' helpers stumble over. The shapes are the oracle's affair.

import type { Rule, SeenWhole } from "./rules.ts";

interface SeenItem {
  id: string;
  type: "message" | "reasoning" | "function_call";
  status: string;
  content?: { text: string }[];
  summary?: { text: string }[];
  name?: string;
  arguments?: string;
}

interface SeenResponse {
  status: string;
  output: SeenItem[];
  [key: string]: unknown;
}

interface SeenEvent {
  type: string;
  sequence_number: number;
  response?: SeenResponse;
  item?: SeenItem;
  item_id?: string;
  output_index?: number;
  delta?: string;
  [key: string]: unknown;
}

export interface SeenResponsesStream {
  raw: string;
  events: SeenEvent[];
  /** False when the client hung up before the end. */
  whole: boolean;
}

export function seenResponsesStream(raw: string, whole: boolean): SeenResponsesStream {
  // An event that a hang-up has cut is no event.
  const blocks = raw.slice(0, whole ? undefined : raw.lastIndexOf("\n\n") + 2).split("\n\n");
  const data = blocks.flatMap((block) => block.split("\n").filter((line) => line.startsWith("data: ")));
  return {
    raw,
    whole,
    events: data.filter((line) => line !== "data: [DONE]").map((line) => JSON.parse(line.slice(6))),
  };
}

/** Keys that are never null, and those that may be: OpenResponses, `ResponseResource`. */
const KEYS =
  "id object created_at status model output tools tool_choice truncation parallel_tool_calls text top_p presence_penalty frequency_penalty top_logprobs temperature store background service_tier metadata".split(
    " ",
  );
const NULLABLE_KEYS =
  "completed_at incomplete_details previous_response_id instructions error reasoning usage max_output_tokens max_tool_calls safety_identifier prompt_cache_key".split(
    " ",
  );

/** Of the object itself, wherever it stands. */
export const RESPONSE_RULES: Rule<SeenResponse>[] = [
  {
    never: "a key that is missing, or null where it may not be",
    seen: (response) =>
      KEYS.find((key) => (response[key] ?? null) === null) ?? NULLABLE_KEYS.find((key) => response[key] === undefined),
  },
  {
    never: "a status that its details contradict",
    seen: (response) => {
      const { status, completed_at, incomplete_details, error, usage } = response;
      const wrong =
        (completed_at !== null) !== (status === "completed") ||
        (incomplete_details !== null) !== (status === "incomplete") ||
        (error !== null) !== (status === "failed") ||
        (usage === null) !== (status === "in_progress" || status === "failed");
      return wrong ? { status, completed_at, incomplete_details, error, usage } : undefined;
    },
  },
  {
    never: "an item that is still open when the response is not",
    seen: ({ status, output }) =>
      status === "in_progress" ? output[0] : output.find((item) => item.status === "in_progress"),
  },
];

/** Of whole answers, with what was asked. */
export const RESPONSE_WHOLE_RULES: Rule<SeenWhole>[] = RESPONSE_RULES.map(({ never, seen }) => ({
  never,
  seen: ({ body }) => seen(body as unknown as SeenResponse),
}));

const TERMINAL = ["response.completed", "response.incomplete", "response.failed"];

export const RESPONSES_STREAM_RULES: Rule<SeenResponsesStream>[] = [
  {
    never: "a frame that is not `event: <type>`, its data and an empty line; a [DONE]",
    seen: ({ raw, whole }) =>
      raw
        .split("\n\n")
        .slice(0, -1)
        .find((block) => !/^(: keepalive\n)*event: ([\w.]+)\ndata: \{"type":"\2",[^\n]*\}$/.test(block)) ??
      (whole && !raw.endsWith("\n\n") ? raw.slice(-60) : undefined),
  },
  {
    never: "a sequence number that does not count up from 0",
    seen: ({ events }) => events.find((event, at) => event.sequence_number !== at),
  },
  {
    never: "an end without its one terminal event, or with more",
    seen: ({ events, whole }) => {
      const at = events.findIndex(({ type }) => TERMINAL.includes(type));
      return (at < 0 ? whole : at !== events.length - 1) ? events.at(-1)?.type : undefined;
    },
  },
  {
    never: "events in another order than items are written in",
    seen: ({ events, whole }) => {
      const order = events.map(({ type }) => type).filter((type) => !type.endsWith(".delta"));
      const expected = expectedOrder(events);
      // What was cut short, by a fault or by the client, stops somewhere on the way.
      const cut = !whole || order.at(-1) === "response.failed";
      const seen = order.filter((type) => type !== "response.failed");
      const wrong = seen.findIndex((type, at) => type !== expected[at]);
      if (wrong >= 0) return { seen: seen[wrong], expected: expected[wrong] };
      return !cut && seen.length < expected.length ? { missing: expected[seen.length] } : undefined;
    },
  },
  {
    never: "an event that does not say to which item it belongs, or to another than the open one",
    seen: ({ events }) => {
      let open: { item: SeenItem; at: number } | null = null;
      let next = 0;
      for (const event of events) {
        if (event.type === "response.output_item.added") open = { item: event.item!, at: next++ };
        if (event.response) continue;
        const id = event.item_id ?? event.item?.id;
        if (!open || event.output_index !== open.at || id !== open.item.id) return event;
        const part = /_(part|text)\./.test(event.type);
        if (part && event[event.type.includes("summary") ? "summary_index" : "content_index"] !== 0) return event;
      }
      return undefined;
    },
  },
  {
    never: "deltas that do not add up to what the item says at its end",
    seen: ({ events }) => {
      const deltas = new Map<string, string>();
      for (const { delta, item_id } of events) {
        if (delta !== undefined) deltas.set(item_id!, (deltas.get(item_id!) ?? "") + delta);
      }
      const items = [
        ...events.flatMap(({ type, item }) => (type.endsWith("item.done") ? [item!] : [])),
        ...(events.at(-1)?.response?.output ?? []),
      ];
      return items.find((item) => textOf(item) !== (deltas.get(item.id) ?? ""));
    },
  },
  {
    never: "a response that is another one at the end than at the beginning",
    seen: ({ events }) => {
      const constant = KEYS.filter((key) => key !== "status" && key !== "output");
      const heads = new Set(
        events.flatMap(({ response }) => (response ? [JSON.stringify(constant.map((key) => response[key]))] : [])),
      );
      return heads.size > 1 ? [...heads] : undefined;
    },
  },
  {
    never: "a response inside an event that breaks a rule of its own",
    seen: ({ events }) => {
      const responses = events.flatMap(({ response }) => response ?? []);
      return RESPONSE_RULES.flatMap(({ never, seen }) => {
        const found = responses.map(seen).find((each) => each !== undefined);
        return found === undefined ? [] : [{ never, found }];
      })[0];
    },
  },
];

function textOf({ type, content, summary, arguments: text }: SeenItem): string {
  if (type === "function_call") return text!;
  return [...(content ?? []), ...(summary ?? [])].map((part) => part.text).join("");
}

/** The types of all events but deltas, as the items that were begun should have had them. */
function expectedOrder(events: SeenEvent[]): string[] {
  const begun = events.flatMap(({ type, item }, at) =>
    type === "response.output_item.added" ? [{ item: item!, next: events[at + 1]?.type ?? "" }] : [],
  );
  const items = begun.flatMap(({ item, next }) => [
    "output_item.added",
    ...(item.type === "message"
      ? ["content_part.added", "output_text.done", "content_part.done"]
      : item.type === "function_call"
        ? ["function_call_arguments.done"]
        : next.includes("summary")
          ? ["reasoning_summary_part.added", "reasoning_summary_text.done", "reasoning_summary_part.done"]
          : ["content_part.added", "reasoning_text.done", "content_part.done"]),
    "output_item.done",
  ]);
  const last = events.at(-1)?.type.replace("response.", "") ?? "";
  const end = TERMINAL.includes(`response.${last}`) ? [last] : [];
  return ["created", "in_progress", ...items, ...end].map((type) => `response.${type}`);
}
