// Images for tests: made by a library, or by hand where no library would make them; and a server that gives them out.

import { crc32, deflateSync } from "node:zlib";

export interface FileServer {
  origin: string;
  port: number;
  /** Paths that were asked for, in order. */
  asked: string[];
  stop(): void;
}

export interface File {
  bytes?: Uint8Array;
  status?: number;
  headers?: Record<string, string>;
}

/** Serves `files` by path on a free port of loopback; 404 for everything else. */
export function openFiles(
  files: Record<string, File | ((request: Request) => Response | Promise<Response>)>,
): FileServer {
  const asked: string[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request) => {
      const { pathname } = new URL(request.url);
      asked.push(pathname);
      const file = files[pathname];
      if (typeof file === "function") return file(request);
      if (file === undefined) return new Response("nothing here", { status: 404 });
      return new Response((file.bytes ?? new Uint8Array()) as Uint8Array<ArrayBuffer>, {
        status: file.status ?? 200,
        headers: file.headers ?? {},
      });
    },
  });
  const port = server.port!;
  return { origin: `http://127.0.0.1:${port}`, port, asked, stop: () => void server.stop(true) };
}

/** The head of a grey PNG that promises `width` times `height` pixels, and holds ten. @param padding bytes behind it */
export function pngHead(width: number, height: number, padding = 0): Uint8Array {
  const begun = chunk("IDAT", deflateSync(Buffer.alloc(10)));
  return Buffer.concat([PNG, chunk("IHDR", ihdr(width, height)), begun, Buffer.alloc(padding)]);
}

/** A whole and valid PNG of one bit for each pixel, all black: side² / 8 bytes raw, some hundred times less as it comes. */
export function pngOfZeros(side: number): Uint8Array {
  const row = 1 + Math.ceil(side / 8);
  const pixels = deflateSync(Buffer.alloc(row * side), { level: 1 });
  return Buffer.concat([
    PNG,
    chunk("IHDR", ihdr(side, side, 1)),
    chunk("IDAT", pixels),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

const PNG = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");

function ihdr(width: number, height: number, depth = 8): Buffer {
  const bytes = Buffer.alloc(13);
  bytes.writeUInt32BE(width, 0);
  bytes.writeUInt32BE(height, 4);
  bytes[8] = depth;
  return bytes;
}

/** Length, type, content, checksum (PNG specification, 5.3). */
function chunk(type: string, content: Buffer): Buffer {
  const typed = Buffer.concat([Buffer.from(type, "latin1"), content]);
  const head = Buffer.alloc(4);
  head.writeUInt32BE(content.length);
  const tail = Buffer.alloc(4);
  tail.writeUInt32BE(crc32(typed));
  return Buffer.concat([head, typed, tail]);
}
