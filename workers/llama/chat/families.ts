// What families of models do differently when they call tools and when they think: a table of markers, told apart by what
// stands in their chat templates. A model with tools whose way of calling is not in the table is told of the tools in a
// system message and taught the first way.

/**
 * How a family writes calls: `begin`, `open`, then calls with `between` them, then `finish`. `call` is written with
 * `§` for the name, `¶` for the arguments, `#` for an identifier of nine letters and digits, and `~` where whitespace may
 * stand or not.
 */
export interface CallSyntax {
  /** What tells calls from other text. */
  begin: string;
  /** Whether calls may only begin the answer: then `begin` may stand in other text. */
  onlyFirst?: boolean;
  open: string;
  call: string;
  /** Null when there can be only one call. */
  between: string | null;
  finish: string;
}

export interface Thinking {
  open: string;
  close: string;
}

export interface Family {
  readonly name: string;
  readonly calls: CallSyntax;
  /** Whether its template writes calls and results; otherwise we put them into messages. */
  readonly nativeCalls: boolean;
  readonly thinking: Thinking | null;
  /** Whether the answer comes in channels, which do the work of all markers. */
  readonly channels: boolean;
}

const TAGGED: CallSyntax = {
  begin: "<tool_call>",
  open: "",
  call: '~{~"name":~"§",~"arguments":~¶~}~</tool_call>',
  between: "~<tool_call>",
  finish: "",
};

interface FamilyRow {
  name: string;
  /** All of them stand in the template. */
  signs: string[];
  /** None of them does. */
  strangers?: string[];
  calls: CallSyntax;
}

/** The first row that fits is the family's. */
const ROWS: FamilyRow[] = [
  {
    name: "tagged",
    signs: ["<tool_call>", '"arguments"', "tools"],
    // These families put XML or lists of their own between the same tags.
    strangers: ["<function=", "<arg_key>", "<parameter="],
    calls: TAGGED,
  },
  {
    name: "bracketed-with-id",
    signs: ["[TOOL_CALLS]", "[CALL_ID]", "[ARGS]"],
    calls: { begin: "[TOOL_CALLS]", open: "", call: "§[CALL_ID]#[ARGS]¶", between: "[TOOL_CALLS]", finish: "" },
  },
  {
    name: "bracketed-names",
    signs: ["[TOOL_CALLS]", "[ARGS]"],
    calls: { begin: "[TOOL_CALLS]", open: "", call: "§[ARGS]¶", between: "[TOOL_CALLS]", finish: "" },
  },
  {
    name: "bracketed",
    signs: ["[TOOL_CALLS]"],
    calls: {
      begin: "[TOOL_CALLS]",
      open: "~[",
      call: '~{~"name":~"§",~"arguments":~¶~}',
      between: "~,",
      finish: "~]",
    },
  },
  {
    name: "fenced",
    signs: ["<｜tool▁calls▁begin｜>", "```json"],
    calls: {
      begin: "<｜tool▁calls▁begin｜>",
      open: "",
      call: "~<｜tool▁call▁begin｜>function<｜tool▁sep｜>§\n```json\n¶\n```<｜tool▁call▁end｜>",
      between: "",
      finish: "~<｜tool▁calls▁end｜>",
    },
  },
  {
    name: "separated",
    signs: ["<｜tool▁calls▁begin｜>"],
    calls: {
      begin: "<｜tool▁calls▁begin｜>",
      open: "",
      call: "~<｜tool▁call▁begin｜>§<｜tool▁sep｜>¶<｜tool▁call▁end｜>",
      between: "",
      finish: "~<｜tool▁calls▁end｜>",
    },
  },
  {
    name: "bare",
    signs: ['"parameters": ', '{"name": ', "tools"],
    strangers: ["<tool_call>", "<function=", "<|START_ACTION|>"],
    calls: {
      begin: "{",
      onlyFirst: true,
      open: "",
      call: '~"name":~"§",~"parameters":~¶~}',
      between: null,
      finish: "",
    },
  },
];

const THINKING: Thinking[] = [
  { open: "<think>", close: "</think>" },
  { open: "[THINK]", close: "[/THINK]" },
  { open: "<seed:think>", close: "</seed:think>" },
  { open: "<|START_THINKING|>", close: "<|END_THINKING|>" },
];

/** One call per message, in the channel for tools; the engine ends the answer after it. */
const CHANNEL_CALLS: CallSyntax = {
  begin: "<|channel|>commentary to=functions.",
  open: "",
  call: "§ <|constrain|>json<|message|>¶",
  between: null,
  finish: "",
};

/** @param template Jinja text, or empty */
export function familyOf(template: string): Family {
  if (template.includes("<|channel|>") && template.includes("<|message|>")) {
    return {
      name: "channels",
      calls: CHANNEL_CALLS,
      nativeCalls: true,

      thinking: null,
      channels: true,
    };
  }
  const row = ROWS.find(
    ({ signs, strangers = [] }) =>
      signs.every((sign) => template.includes(sign)) && !strangers.some((sign) => template.includes(sign)),
  );
  const thinking = THINKING.find(({ open, close }) => template.includes(open) || template.includes(close)) ?? null;
  return {
    name: row?.name ?? "generic",
    calls: row?.calls ?? TAGGED,
    nativeCalls: row !== undefined,
    thinking,
    channels: false,
  };
}
