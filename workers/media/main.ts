// The process that decodes images, and measures recordings, from strangers: see the contract's media.ts for what it is told
// and what it answers.

import { rmSync } from "node:fs";
import { AUDIO_FIELD, type AudioJob, IMAGE_FIELD, type ImageJob, type MediaConfig } from "@oxbow/contract";
import { BadImage, remake } from "./image.ts";

const { socket } = JSON.parse(process.argv[2]!) as MediaConfig;

/** Far above what the gateway lets through. */
const BODY_BYTES_MAX = 512 * 1024 * 1024;

async function answer(request: Request): Promise<Response> {
  if (request.url.endsWith("/audio")) return measured(await request.bytes(), request.headers.get(AUDIO_FIELD)!);
  const job = JSON.parse(request.headers.get(IMAGE_FIELD)!) as ImageJob;
  try {
    const { bytes, ...fact } = await remake(await request.bytes(), job);
    return new Response(bytes as Uint8Array<ArrayBuffer>, { headers: { [IMAGE_FIELD]: JSON.stringify(fact) } });
  } catch (error) {
    if (error instanceof BadImage) return Response.json(error.refusal, { status: 422 });
    throw error;
  }
}

async function measured(bytes: Uint8Array, job: string): Promise<Response> {
  const { secondsMax } = JSON.parse(job) as AudioJob;
  // Read when the first recording comes: most calls bring images.
  const { measure, BadAudio } = await import("@oxbow/audio");
  try {
    return Response.json(await measure(bytes, secondsMax));
  } catch (error) {
    if (error instanceof BadAudio) return new Response(error.message, { status: 422 });
    throw error;
  }
}

rmSync(socket, { force: true });
Bun.serve<undefined>(
  // A decoder may take longer than Bun waits by default; its types know that option for TCP alone.
  Object.assign({ unix: socket, fetch: answer, development: false, maxRequestBodySize: BODY_BYTES_MAX }, {
    idleTimeout: 0,
  } as object),
);
process.stdin.on("end", () => process.exit(0));
process.stdin.on("close", () => process.exit(0));
process.stdin.resume();
process.stdout.write("listening\n");
