// Which calls should meet the same engine, because it remembers the beginning of their prompt: those of one conversation.

/** Of the prompt's beginning, what tells conversations apart; and as much of an engine's cache as is worth going back for. */
const CHARS_MAX = 4_096;

/**
 * A text that is the same for calls that belong together: what the caller says in `prompt_cache_key`, else the beginning
 * of the prompt up to the first turn of the user, which all later turns of a conversation share.
 *
 * @returns undefined for a body that has none
 */
export function affinityOf(modelId: string, body: Record<string, unknown>): string | undefined {
  const key = body.prompt_cache_key;
  if (typeof key === "string" && key !== "") return `${modelId} key ${key}`;
  const { messages, prompt } = body;
  if (Array.isArray(messages)) return `${modelId} chat ${beginningOf(messages)}`;
  if (typeof prompt === "string") return `${modelId} text ${prompt.slice(0, CHARS_MAX)}`;
  return undefined;
}

function beginningOf(messages: readonly unknown[]): string {
  let text = "";
  for (const message of messages) {
    if (typeof message !== "object" || message === null) break;
    const { role, content } = message as { role?: unknown; content?: unknown };
    text += `${role}\n${textOf(content)}\n`;
    if (role === "user" || text.length >= CHARS_MAX) break;
  }
  return text.slice(0, CHARS_MAX);
}

/** Images and sound count by the beginning of their address: that of inlined ones tells little, and is large. */
function textOf(content: unknown): string {
  if (typeof content === "string") return content.slice(0, CHARS_MAX);
  if (!Array.isArray(content)) return "";
  let text = "";
  for (const part of content) {
    if (text.length >= CHARS_MAX) break;
    if (typeof part !== "object" || part === null) continue;
    const { text: words, image_url: image } = part as { text?: unknown; image_url?: { url?: unknown } };
    if (typeof words === "string") text += words.slice(0, CHARS_MAX);
    else if (typeof image?.url === "string") text += image.url.slice(0, ADDRESS_CHARS_MAX);
  }
  return text;
}

const ADDRESS_CHARS_MAX = 256;
