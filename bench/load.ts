// The load: calls over keep-alive connections, so many at a time, in this process. What it costs itself does not matter:
// only the processes under test are measured.

export interface Target {
  name: string;
  url: string;
  pid: number;
  headers: Record<string, string>;
  /** Collects garbage on SIGUSR2: see collect.ts. */
  collects: boolean;
}

/** @param plan what the fixed upstream does with the call; absent for a whole answer */
export function callBody(model: string, plan?: object, promptBytes = 100): string {
  const content = "benchmark ".repeat(Math.ceil(promptBytes / 10)).slice(0, promptBytes);
  const body = { model, ...(plan ? { stream: true } : {}), messages: [{ role: "user", content }] };
  return JSON.stringify(plan ? { ...body, user: JSON.stringify(plan) } : body);
}

/** Makes `count` calls, `parallel` at a time, and reads each answer to its end. */
export async function run(target: Target, body: string, count: number, parallel: number): Promise<void> {
  let left = count;
  async function caller(): Promise<void> {
    while (left-- > 0) {
      const response = await fetch(target.url, { method: "POST", body, headers: target.headers });
      const text = await response.text();
      if (!response.ok) throw new Error(`${target.name}: ${response.status} ${text.slice(0, 300)}`);
    }
  }
  await Promise.all(Array.from({ length: parallel }, caller));
}

/** Opens `count` streams and leaves them open. Returns how to close them. */
export async function openStreams(target: Target, body: string, count: number): Promise<() => void> {
  const abort = new AbortController();
  const open = async () => {
    const response = await fetch(target.url, { method: "POST", body, headers: target.headers, signal: abort.signal });
    if (!response.ok) throw new Error(`${target.name}: ${response.status}`);
    await response.body!.getReader().read();
  };
  for (let from = 0; from < count; from += 50) {
    await Promise.all(Array.from({ length: Math.min(50, count - from) }, open));
  }
  return () => abort.abort();
}
