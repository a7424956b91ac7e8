// From messages to the prompt text, through the chat template that the model's file brings.
// Variables are named as the field has them: Hugging Face, "Writing a chat template", huggingface.co/docs/transformers,
// read 2026-11-21.

import { Template } from "@huggingface/jinja";
import { ApiError, type ChatMessage, type FunctionDefinition } from "@oxbow/contract";
import { type Family, familyOf } from "./families.ts";
import {
  type Habits,
  inTurns,
  oneCallEach,
  type TemplateMessage,
  templateMessages,
  templateTools,
  withCallsAsText,
  withToolsTold,
} from "./messages.ts";

export interface RenderOptions {
  /** The tools that the model shall see: none when the caller's tool choice is `none`. */
  tools: FunctionDefinition[];
  reasoningEffort?: string | undefined;
  /** Further variables of the template. */
  extra?: Record<string, unknown> | undefined;
}

export interface ChatTemplate {
  readonly family: Family;
  /**
   * The prompt, with the model's special tokens spelled out, its first one included where the template writes it.
   *
   * @throws ApiError `invalid_combination` when the template refuses these messages
   */
  render(messages: ChatMessage[], options: RenderOptions): string;
}

/** For files without a template: the format that most models have seen. */
const CHATML =
  "{%- for message in messages -%}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{%- endfor -%}" +
  "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}";

/**
 * @param source Jinja text from `tokenizer.chat_template`; empty when the file has none
 * @throws Error when the template cannot be parsed, or not rendered at all
 */
export function createChatTemplate(source: string, tokens: { bos: string; eos: string }): ChatTemplate {
  const text = source.trim() === "" ? CHATML : source;
  const template = new Template(text);
  const family = familyOf(text);
  let known: Habits | undefined;
  let noTools: { tools?: unknown } = NO_TOOLS[0]!;
  noTools = findNoTools();

  function run(messages: TemplateMessage[], { tools, reasoningEffort, extra }: RenderOptions): string {
    const thinks = reasoningEffort !== "none";
    return template.render({
      messages,
      ...(tools.length > 0 ? { tools: templateTools(tools) } : noTools),
      add_generation_prompt: true,
      bos_token: tokens.bos,
      eos_token: tokens.eos,
      // Two names for the same switch; families with levels read neither.
      enable_thinking: thinks,
      thinking: thinks,
      ...(reasoningEffort === undefined ? {} : { reasoning_effort: LEVELS[reasoningEffort] ?? reasoningEffort }),
      ...extra,
    });
  }

  /** How the template wants to hear that there are no tools; templates differ, and some take only one way. */
  function findNoTools(): { tools?: unknown } {
    const user = { role: "user", content: "x" };
    let reason: unknown;
    for (const way of NO_TOOLS) {
      noTools = way;
      for (const messages of [[user], [{ role: "system", content: "x" }, user]]) {
        try {
          run(messages, { tools: [] });
          return way;
        } catch (error) {
          reason ??= error;
        }
      }
    }
    throw new Error(`the chat template cannot be rendered: ${textOfError(reason)}`, { cause: reason });
  }

  /** What the template wants, from its text and from three trials. */
  function habits(): Habits {
    known ??= {
      listsTools: family.nativeCalls && listsTools(),
      // Most templates take an empty text; those that ask about null write one turn too many for it.
      nulls: /(?<!reasoning_)content['"]?\]? is (?:not )?none/.test(text) && trial(null) !== null,
      shortIds: /length\s*!=\s*9/.test(text),
      objects: /probe\b[^\]]*seen/.test(trial("") ?? ""),
    };
    return known;
  }

  function listsTools(): boolean {
    const parameters = { type: "object", properties: { x: { type: "string", description: "x" } }, required: ["x"] };
    try {
      const tools = [{ name: "probe_of_tools", description: "x", parameters }];
      return run([{ role: "user", content: "x" }], { tools }).includes("probe_of_tools");
    } catch {
      return false;
    }
  }

  /** A conversation with one call, whose arguments are an object; null when the template cannot write it. */
  function trial(content: string | null): string | null {
    const call = { id: "123456789", type: "function" as const, function: { name: "f", arguments: { probe: "seen" } } };
    const messages: TemplateMessage[] = [
      { role: "user", content: "x" },
      { role: "assistant", content, tool_calls: [call] },
      { role: "tool", content: "y", tool_call_id: "123456789", name: "f" },
    ];
    try {
      return run(messages, { tools: [] });
    } catch {
      return null; // It cannot join a text and an object, or a text and nothing.
    }
  }

  /** The prompt with everything left to the template, or with calls, results and tools put into words by us. */
  function attempt(messages: ChatMessage[], options: RenderOptions, native: boolean, arrange: Arrangement): string {
    const own = templateMessages(messages, native ? habits() : { ...habits(), objects: true, nulls: false });
    const spoken = native ? own : withCallsAsText(own, family);
    if (native && habits().listsTools) return run(arrange(spoken), options);
    return run(arrange(withToolsTold(spoken, options.tools, family)), { ...options, tools: [] });
  }

  return {
    family,
    render(messages, options) {
      let reason: unknown;
      for (const native of family.nativeCalls ? [true, false] : [false]) {
        for (const arrange of ARRANGEMENTS) {
          try {
            return attempt(messages, options, native, arrange);
          } catch (error) {
            // The first reason is about the messages as they came, so it is the one to tell.
            reason ??= error;
          }
        }
      }
      const text = `The model's chat template refuses these messages: ${textOfError(reason)}`;
      throw new ApiError("invalid_combination", text, { param: "messages", cause: reason });
    },
  };
}

/** None, as the reference implementation has it; a list; nothing at all. */
const NO_TOOLS: { tools?: unknown }[] = [{ tools: null }, { tools: [] }, {}];

function textOfError(error: unknown): string {
  return String(error instanceof Error ? error.message : error).slice(0, 200);
}

type Arrangement = (messages: TemplateMessage[]) => TemplateMessage[];

/** What messages are turned into until the template takes them: first as they are, last far from it. */
const ARRANGEMENTS: Arrangement[] = [
  (messages) => messages,
  oneCallEach,
  (messages) => inTurns(messages, true),
  (messages) => inTurns(oneCallEach(messages), true),
  (messages) => inTurns(messages, false),
];

/** Templates with levels know three of them. */
const LEVELS: Record<string, string> = { none: "low", minimal: "low", xhigh: "high", max: "high" };
