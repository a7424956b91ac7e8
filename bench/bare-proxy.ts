// The yardstick: the least that a proxy on Bun can be. No keys, no checks, no counts.

const [socket, port] = process.argv.slice(2);

Bun.serve({
  hostname: "127.0.0.1",
  port: Number(port),
  idleTimeout: 0,
  maxRequestBodySize: 1 << 30,
  async fetch(request) {
    const path = new URL(request.url).pathname;
    const answer = await fetch(`http://engine${path}`, {
      unix: socket!,
      method: "POST",
      body: await request.bytes(),
      headers: { "content-type": "application/json", "accept-encoding": "identity" },
      signal: request.signal,
      timeout: false,
      decompress: false,
    } as BunFetchRequestInit);
    return new Response(answer.body, {
      status: answer.status,
      headers: { "content-type": answer.headers.get("content-type")! },
    });
  },
});
for await (const _ of Bun.stdin.stream());
process.exit(0);

export {};
