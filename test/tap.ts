// A tap on the wire: stands between any client and the server, passes bytes on both ways and keeps a copy, from which it
// tells the exchanges afterwards. It changes nothing, so what a client sees through it is what it would see without.

import { connect, createServer, type Socket } from "node:net";
import { type Message, readMessage } from "./http.ts";

export interface Exchange {
  request: Message;
  /** Null when the connection ended without an answer. */
  response: Message | null;
  /** True when the client was the one that ended the connection. */
  hungUp: boolean;
  /** True while the connection is still there: what is missing may still come. */
  open: boolean;
}

export interface Tap {
  port: number;
  /** What has gone through so far, in the order of connections. */
  exchanges(): Exchange[];
  /** Forgets what has gone through. Call it while nothing is on its way. */
  clear(): void;
  close(): void;
}

interface Line {
  sent: Buffer[];
  received: Buffer[];
  hungUp: boolean;
  open: boolean;
}

/** @param serverPort where the server listens on loopback */
export async function openTap(serverPort: number): Promise<Tap> {
  let lines: Line[] = [];
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const line: Line = { sent: [], received: [], hungUp: false, open: true };
    lines.push(line);
    const upstream = connect({ port: serverPort, host: "127.0.0.1", allowHalfOpen: true });
    join(client, upstream, line);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));

  return {
    port: (server.address() as { port: number }).port,
    exchanges: () => lines.flatMap(exchangesOf),
    clear: () => {
      // A connection that is kept for the next call goes on being heard.
      lines = lines.filter((line) => line.open);
      for (const line of lines) Object.assign(line, { sent: [], received: [] });
    },
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function join(client: Socket, upstream: Socket, line: Line): void {
  let serverEnded = false;
  client.on("data", (piece: Buffer) => {
    line.sent.push(piece);
    if (!upstream.write(piece)) client.pause();
  });
  upstream.on("data", (piece: Buffer) => {
    line.received.push(piece);
    if (!client.write(piece)) upstream.pause();
  });
  upstream.on("drain", () => client.resume());
  client.on("drain", () => upstream.resume());
  const end = (by: "client" | "server") => {
    line.hungUp ||= by === "client" && !serverEnded;
    serverEnded ||= by === "server";
  };
  upstream.on("end", () => {
    end("server");
    client.end();
  });
  client.on("end", () => {
    end("client");
    upstream.end();
  });
  upstream.on("error", () => {
    end("server");
    client.destroy();
  });
  client.on("error", () => {
    end("client");
    upstream.destroy();
  });
  upstream.on("close", () => {
    end("server");
    client.destroySoon();
  });
  client.on("close", () => {
    end("client");
    line.open = false;
    upstream.destroy();
  });
}

/** Requests and answers of one connection: HTTP/1.1 answers in the order it was asked. */
function exchangesOf({ sent, received, hungUp, open }: Line): Exchange[] {
  const requests = Buffer.concat(sent);
  const responses = Buffer.concat(received);
  const exchanges: Exchange[] = [];
  let asked = 0;
  let answered = 0;
  while (asked < requests.length) {
    const request = readMessage(requests, asked);
    if (!request) break;
    asked = request.end;
    const isHead = request.message.startLine.startsWith("HEAD ");
    let response = readMessage(responses, answered, isHead);
    while (response && /^HTTP\/1\.1 1/.test(response.message.startLine)) {
      response = readMessage(responses, response.end, isHead);
    }
    answered = response?.end ?? responses.length;
    exchanges.push({ request: request.message, response: response?.message ?? null, hungUp, open });
  }
  return exchanges;
}
