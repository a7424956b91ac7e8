import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { mutate } from "../../test/mutate.ts";
import { ENCODINGS, needTools, wavOf } from "../../test/recordings.ts";
import { createAudioMeter, type MeterBounds } from "./audio.ts";
import { createMediaProcess } from "./process.ts";

setDefaultTimeout(60_000);
const program = join(import.meta.dir, "../../workers/media/main.ts");
const processes = [createMediaProcess(program, process.env), createMediaProcess(program, process.env)];
afterAll(() => {
  for (const process of processes) process.kill();
});
const { signal } = new AbortController();

/** As ffmpeg writes a tone. */
function toneOf(seconds: number, options: string[]): Buffer {
  const command = ["ffmpeg", "-loglevel", "error", "-f", "lavfi", "-i", `sine=duration=${seconds}:sample_rate=16000`];
  return Bun.spawnSync([...command, ...options, "-"], { stderr: "inherit" }).stdout as Buffer;
}

const FRAGMENTS = ["-c:a", "aac", "-movflags", "frag_keyframe+empty_moov", "-frag_duration", "200000", "-f", "mp4"];
const MORE = {
  live: ["-c:a", "libopus", "-live", "1", "-f", "webm"],
  matroska: ["-c:a", "flac", "-f", "matroska"],
  aac: ["-f", "adts"],
};
let files: [string, Buffer][] = [];
beforeAll(() => {
  needTools();
  const simple = Object.entries(ENCODINGS).filter(([name]) => name !== "m4a" && name !== "mp4");
  const formats = simple.map(
    ([name, options]) => [name, options.includes("-f") ? options : [...options, "-f", name]] as const,
  );
  const all = [...formats, ...Object.entries(MORE), ["fragments", FRAGMENTS] as const];
  files = all.map(([name, options]) => [name, toneOf(1.5, [...options])]);
});

function meterOf(bounds?: Partial<MeterBounds>) {
  const meter = createAudioMeter(processes, bounds);
  return (bytes: Uint8Array, owner = "a", secondsMax = 14_400): Promise<number | string> =>
    meter(bytes, { secondsMax, owner, signal }).then(
      ({ seconds }) => seconds,
      (error) => error.message,
    );
}

const BAD = "Audio file might be corrupted or unsupported";

test("a damaged recording of any kind is measured or refused at once, and ends no process", async () => {
  const says = meterOf({ cpuMsMax: 2_000 });
  for (const [name, bytes] of files)
    expect([name, Math.abs(Number(await says(bytes)) - 1.5) < 0.15]).toEqual([name, true]);
  // One is for each owner: the other starts when it is needed.
  const pid = processes.map((process) => process.pid());
  for (const [name, bytes] of files) {
    for (let seed = 1; seed <= 60; seed++) {
      const found = await says(mutate(bytes, seed));
      const isAnswer = found === BAD || (typeof found === "number" && found > 0);
      expect([name, seed, found, isAnswer]).toEqual([name, seed, found, true]);
    }
    expect([name, processes.map((process) => process.pid())]).toEqual([name, pid]);
  }
});

test("a WebM that was cut short counts as far as it goes, whatever stands behind", async () => {
  const says = meterOf();
  const bytes = toneOf(2, ["-f", "webm"]);
  const hostile = Buffer.concat([bytes, Buffer.from("a380".repeat(20_480), "hex")]);
  expect(Math.abs(Number(await says(hostile)) - 2)).toBeLessThan(0.15);
  const cut = Number(await says(Buffer.concat([bytes.subarray(0, 3_000), Buffer.from("a380".repeat(20_480), "hex")])));
  expect(cut > 0.1 && cut < 1).toBe(true);
});

/** A few kilobytes that say they are two thousand million samples: their reader makes a list of them. */
function bomb(): Buffer {
  const bytes = toneOf(1, FRAGMENTS);
  for (let at = bytes.indexOf("trun"); at >= 0; at = bytes.indexOf("trun", at + 1)) {
    bytes.writeUInt32BE(1, at + 4); // nothing is said of each,
    bytes.writeUInt32BE(0x7fff_ffff, at + 8); // but how many there are
  }
  return bytes;
}

test("one that unpacks to more memory than there is ends alone, and others are measured meanwhile", async () => {
  const says = meterOf({ rssBytesMax: 300_000_000 });
  expect(await Promise.all([says(wavOf(1), "a"), says(wavOf(1), "b")])).toEqual([1, 1]);
  const hostile = bomb();
  let ended = 0;
  const hostiles = Array.from({ length: 5 }, () =>
    says(hostile, "a").then((found) => {
      ended++;
      return found;
    }),
  );
  expect(await Promise.all([2, 3, 4].map((seconds) => says(wavOf(seconds), "b")))).toEqual([2, 3, 4]);
  expect(ended).toBeLessThanOrEqual(1);
  expect(await Promise.all(hostiles)).toEqual(Array(5).fill(BAD));
  expect(await says(wavOf(2), "a")).toBe(2);
});

test("one that takes a processor for longer than honest ones do is ended", async () => {
  const minute = toneOf(60, ["-b:a", "8k", "-f", "mp3"]);
  const long = Buffer.concat(Array(600).fill(minute));
  expect(Number(await meterOf()(long, "a", 40_000))).toBeGreaterThan(36_000);
  expect(await meterOf({ cpuMsMax: 0, cpuMsPerMegabyte: 0 })(long, "a", 40_000)).toBe(BAD);
});

test("counting stops where the caller has no more use for it", async () => {
  expect(await meterOf()(wavOf(20), "a", 5)).toBeGreaterThan(5);
  expect(await meterOf()(wavOf(20), "a", 5)).toBeLessThan(10);
});
