// A client of its own for hundreds of streams at once: `bun test` itself cannot hold more than 256 connections (1.4.5).
// Its argument is a `ManyStreams`. Writes the line `begun` when every stream has its first token, and at the end one line
// of JSON: what each stream saw, in order.

export interface ManyStreams {
  url: string;
  headers: Record<string, string>;
  bodies: object[];
  /** Each stream is followed by another one like it, until the standard input ends. */
  repeat?: boolean;
}

export interface SeenStream {
  status: number;
  /** What the deltas said, one by one. */
  texts: string[];
  error: { code: string } | null;
  done: boolean;
}

if (import.meta.main) {
  const { url, headers, bodies, repeat } = JSON.parse(process.argv[2]!) as ManyStreams;
  let begun = 0;
  let over = false;
  process.stdin.on("end", () => {
    over = true;
  });
  process.stdin.resume();
  const seen = await Promise.all(
    bodies.map(async (body) => {
      let first = true;
      const all: SeenStream[] = [];
      do {
        const begin = () => {
          if (first && ++begun === bodies.length) process.stdout.write("begun\n");
          first = false;
        };
        all.push(await readStream(url, headers, body, begin));
      } while (repeat && !over);
      return all;
    }),
  );
  await Bun.write(Bun.stdout, `${JSON.stringify(seen.flat())}\n`);
  process.exit(0);
}

/** @param begun called when there is a token, and further on */
async function readStream(
  url: string,
  headers: Record<string, string>,
  body: object,
  begun: () => void = () => {},
): Promise<SeenStream> {
  const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
  const seen: SeenStream = { status: response.status, texts: [], error: null, done: false };
  let rest = "";
  const decoder = new TextDecoder();
  for await (const piece of response.body!) {
    const events = (rest + decoder.decode(piece, { stream: true })).split("\n\n");
    rest = events.pop()!;
    for (const event of events) {
      const data = event.startsWith("data: ") ? event.slice("data: ".length) : null;
      if (data === "[DONE]") seen.done = true;
      else if (data !== null) take(JSON.parse(data), seen);
    }
    if (seen.texts.length > 0) begun();
  }
  return seen;
}

function take(chunk: { error?: { code: string }; choices?: { delta: { content?: string } }[] }, seen: SeenStream) {
  if (chunk.error) seen.error = chunk.error;
  const text = chunk.choices?.[0]?.delta.content;
  if (text) seen.texts.push(text);
}

/** Runs this file. */
export function startStreams(options: ManyStreams) {
  const child = Bun.spawn([process.execPath, import.meta.path, JSON.stringify(options)], {
    env: { PATH: process.env.PATH, BUN_CONFIG_MAX_HTTP_REQUESTS: "65535" },
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
  });
  const begun = Promise.withResolvers<void>();
  const seen = (async () => {
    let text = "";
    const decoder = new TextDecoder();
    for await (const piece of child.stdout) {
      text += decoder.decode(piece, { stream: true });
      if (text.startsWith("begun\n")) begun.resolve();
    }
    begun.resolve();
    return JSON.parse(text.slice(text.indexOf("["))) as SeenStream[];
  })();
  return { begun: begun.promise, seen, end: () => void child.stdin.end() };
}
