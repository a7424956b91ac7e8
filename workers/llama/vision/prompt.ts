// Messages with images to a prompt with marks, and the images in their order.

import { ApiError, type ChatMessage, textOf } from "@oxbow/contract";
import { IMAGE_MARK } from "./load.ts";

export interface SeenMessages {
  /** With text alone: a mark stands where an image was. */
  messages: ChatMessage[];
  /** data: URLs, one for each mark. */
  images: string[];
}

/** @param controls texts that must reach the model as text: they are broken by a space that nobody sees */
export function readMessages(messages: ChatMessage[], controls: string[]): SeenMessages {
  const images: string[] = [];
  const plain = (text: string) => controls.reduce((safe, control) => safe.replaceAll(control, broken(control)), text);
  const read = (message: ChatMessage, index: number): ChatMessage => {
    if (message.role !== "user" || typeof message.content === "string") {
      return { ...message, content: plain(textOf(message.content)) } as ChatMessage;
    }
    const parts = message.content.map((part, at) => {
      if (part.type === "text") return plain(part.text);
      if (part.type === "image_url")
        images.push(checked(part.image_url.url, `messages[${index}].content[${at}].image_url.url`));
      return IMAGE_MARK;
    });
    return { ...message, content: parts.join("\n") };
  };
  return { messages: messages.map(read), images };
}

function broken(control: string): string {
  return `${control[0]}\u200b${control.slice(1)}`;
}

/** The gateway has decoded every image. Other bytes would end the process: the library's decoder throws where nobody catches. */
function checked(url: string, param: string): string {
  const [, type, data] = /^data:image\/(png|jpeg);base64,([A-Za-z0-9+/]+={0,2})$/.exec(url) ?? [];
  if (data?.startsWith(type === "png" ? "iVBORw0KGgo" : "/9j/")) return url;
  throw new ApiError("invalid_image_format", "Images reach this worker as data: URLs of PNG or JPEG.", { param });
}
