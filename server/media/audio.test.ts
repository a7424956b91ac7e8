import { afterAll, expect, test } from "bun:test";
import { join } from "node:path";
import { needTools, wavOf } from "../../test/recordings.ts";
import { createAudioMeter } from "./audio.ts";
import { createMediaProcess } from "./process.ts";

const process = createMediaProcess(join(import.meta.dir, "../../workers/media/main.ts"));
afterAll(process.kill);
const signal = new AbortController().signal;

/** A WebM cut short, then blocks of no bytes: its reader goes round in them for ever. */
function endless(): Uint8Array {
  needTools();
  const args = ["-loglevel", "error", "-f", "lavfi", "-i", "sine=duration=2", "-f", "webm", "-"];
  const { stdout } = Bun.spawnSync(["ffmpeg", ...args], { stderr: "inherit" });
  return Buffer.concat([stdout.subarray(0, 3_000), Buffer.from("a380".repeat(20_480), "hex")]);
}

test("a recording that hangs the process is refused, and takes none along that came beside it", async () => {
  const meter = createAudioMeter(process, 3_000);
  const says = (bytes: Uint8Array) =>
    meter(bytes, signal).then(
      ({ seconds }) => seconds,
      (error) => error.message,
    );
  const wav = wavOf(2);
  expect(await says(wav)).toBe(2);
  const hangs = says(endless());
  await Promise.race([hangs, new Promise((resolve) => setImmediate(resolve))]);
  expect(await Promise.all([wav, wav, wav].map(says))).toEqual([2, 2, 2]);
  expect(await hangs).toBe("Audio file might be corrupted or unsupported");
}, 20_000);
