// Which calls should meet the same engine, because it remembers the beginning of their prompt: those of one conversation.

/**
 * A text that is the same for calls that belong together: what the caller says in `prompt_cache_key`, else the beginning
 * of the prompt up to the first turn of the user, which all later turns of a conversation share.
 *
 * @param charsMax as many of the prompt count; 0: calls do not belong together
 * @returns undefined for a body that has none
 */
export function affinityOf(modelId: string, body: Record<string, unknown>, charsMax: number): string | undefined {
  if (charsMax === 0) return undefined;
  const key = body.prompt_cache_key;
  if (typeof key === "string" && key !== "") return `${modelId} key ${key}`;
  const { messages, prompt } = body;
  if (Array.isArray(messages)) return `${modelId} chat ${beginningOf(messages, charsMax)}`;
  if (typeof prompt === "string") return `${modelId} text ${prompt.slice(0, charsMax)}`;
  return undefined;
}

function beginningOf(messages: readonly unknown[], charsMax: number): string {
  let text = "";
  for (const message of messages) {
    if (typeof message !== "object" || message === null) break;
    const { role, content } = message as { role?: unknown; content?: unknown };
    text += `${role}\n${textOf(content, charsMax)}\n`;
    if (role === "user" || text.length >= charsMax) break;
  }
  return text.slice(0, charsMax);
}

/** Images and sound count by the beginning of their address: that of inlined ones tells little, and is large. */
function textOf(content: unknown, charsMax: number): string {
  if (typeof content === "string") return content.slice(0, charsMax);
  if (!Array.isArray(content)) return "";
  let text = "";
  for (const part of content) {
    if (text.length >= charsMax) break;
    if (typeof part !== "object" || part === null) continue;
    const { text: words, image_url: image } = part as { text?: unknown; image_url?: { url?: unknown } };
    if (typeof words === "string") text += words.slice(0, charsMax);
    else if (typeof image?.url === "string") text += image.url.slice(0, ADDRESS_CHARS_MAX);
  }
  return text;
}

const ADDRESS_CHARS_MAX = 256;
