// AAC in ADTS, by ffmpeg.

import { findFfmpeg, startFfmpeg } from "./ffmpeg.ts";
import { bytesOf, cannotWrite, type Encoder, SPEECH_SAMPLE_RATE, toInt16 } from "./sound.ts";

export function openAac(): Encoder {
  const path = findFfmpeg();
  if (path === null) cannotWrite("aac", "it needs ffmpeg, which is not installed");
  const raw = ["-f", "s16le", "-ar", String(SPEECH_SAMPLE_RATE), "-ac", "1"];
  const child = startFfmpeg(path, raw, ["-c:a", "aac", "-b:a", "64k", "-f", "adts", "-flush_packets", "1"]);
  let ready: Uint8Array[] = [];
  const ended = (async () => {
    for await (const piece of child.stdout) ready.push(piece);
  })();
  const take = () => {
    const bytes = Buffer.concat(ready);
    ready = [];
    return bytes;
  };
  return {
    async push(samples) {
      child.stdin.write(bytesOf(toInt16(samples)));
      await child.stdin.flush();
      return take();
    },
    async end() {
      await child.stdin.end();
      await ended;
      if ((await child.exited) !== 0) throw new Error("ffmpeg failed to write AAC");
      return take();
    },
    close: () => child.kill("SIGKILL"),
  };
}
