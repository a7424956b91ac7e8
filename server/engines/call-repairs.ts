// What some engines refuse in a call that is right, said in a way that they take. A kind's row asks for it by name.

type Json = Record<string, unknown>;

export interface CallRepair {
  /** For docs/engines.md. */
  about: string;
  /** @returns what has to change in the call; an empty object when nothing has */
  changes(asked: Json): Json;
}

export const CALL_REPAIRS: Readonly<Record<string, CallRepair>> = {
  content: {
    about: 'An assistant\'s message without text is sent with an empty one: `content` null or absent becomes `""`.',
    changes({ messages }) {
      if (!Array.isArray(messages)) return {};
      const isBare = (message: Json) => message?.role === "assistant" && (message.content ?? null) === null;
      if (!messages.some(isBare)) return {};
      return { messages: messages.map((message: Json) => (isBare(message) ? { ...message, content: "" } : message)) };
    },
  },
  schema: {
    about: "`response_format` with a `json_schema` is sent as a `json_object` with a `schema`.",
    changes({ response_format }) {
      const { type, json_schema } = (response_format ?? {}) as { type?: unknown; json_schema?: { schema?: unknown } };
      if (type !== "json_schema") return {};
      return { response_format: { type: "json_object", schema: json_schema?.schema ?? {} } };
    },
  },
};
