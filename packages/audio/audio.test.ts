// What we decode and encode against ffmpeg, which is another program: samples of the same sound.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ApiError, SPEECH_FORMATS } from "@oxbow/contract";
import { needTools, speakInAllFormats, wavOf } from "../../test/recordings.ts";
import { decode, measure, openEncoder } from "./audio.ts";
import { createResampler } from "./resample.ts";

setDefaultTimeout(60_000);
let files: Record<string, Buffer> = {};
let seconds = 0;
beforeAll(() => {
  needTools();
  ({ files, seconds } = speakInAllFormats("One sound in every format there is, decoded by two programs."));
}, 120_000);
afterAll(() => {
  files = {};
});

async function all(pieces: AsyncIterable<Float32Array>): Promise<Float32Array> {
  return joined(await Array.fromAsync(pieces));
}

function joined(pieces: Float32Array[]): Float32Array {
  const whole = new Float32Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** What ffmpeg makes of bytes: mono samples. */
function byFfmpeg(bytes: Uint8Array, sampleRate: number, input: string[] = []): Float32Array {
  const command = [
    "ffmpeg",
    "-loglevel",
    "error",
    ...input,
    "-i",
    "-",
    "-f",
    "f32le",
    "-ac",
    "1",
    "-ar",
    String(sampleRate),
    "-",
  ];
  const { stdout } = Bun.spawnSync(command, { stdin: bytes });
  return new Float32Array(new Uint8Array(stdout).buffer);
}

/** Decibels by which the sound is above the difference, at the best shift of one against the other. */
function likeness(one: Float32Array, other: Float32Array, shiftMax: number): number {
  let best = Number.NEGATIVE_INFINITY;
  for (let shift = -shiftMax; shift <= shiftMax; shift++) {
    const [a, b] = [one.subarray(Math.max(0, shift)), other.subarray(Math.max(0, -shift))];
    let [power, error] = [0, 1e-12];
    for (let at = 0; at < Math.min(a.length, b.length, 20_000); at++) {
      power += a[at]! ** 2;
      error += (a[at]! - b[at]!) ** 2;
    }
    best = Math.max(best, 10 * Math.log10(power / error));
  }
  return best;
}

test("a recording in every container is as long as it is, and sounds as ffmpeg hears it", async () => {
  for (const [extension, bytes] of Object.entries(files)) {
    const measured = await measure(bytes);
    expect([extension, Math.abs(measured.seconds - seconds) < 0.15]).toEqual([extension, true]);
    const ours = await all(decode(bytes, { sampleRate: 16_000, secondsMax: measured.seconds }));
    // MP3 begins with the silence that its encoder needs, which players cut off.
    const same = likeness(
      ours,
      byFfmpeg(bytes, 16_000, extension === "mp4" || extension === "m4a" ? ["-f", "mov"] : []),
      900,
    );
    if (extension !== "mp4" && extension !== "m4a") expect([extension, same > 18]).toEqual([extension, true]);
    expect(ours.length / 16_000).toBeGreaterThan(seconds - 0.1);
  }
});

test("minutes in Matroska, where the last packet of each cluster says no duration, are measured and heard whole", async () => {
  const [rate, codecs] = [
    16_000,
    [
      ["libopus", "webm"],
      ["libvorbis", "webm"],
      ["flac", "matroska"],
      ["pcm_s16le", "matroska"],
    ],
  ] as const;
  for (const [codec, container] of codecs) {
    const command = ["ffmpeg", "-loglevel", "error", "-f", "lavfi", "-i", "sine=duration=90:sample_rate=48000"];
    const bytes = Bun.spawnSync([...command, "-c:a", codec, "-f", container, "-"]).stdout as Buffer;
    const measured = await measure(bytes);
    expect([codec, Math.abs(measured.seconds - 90) < 0.05]).toEqual([codec, true]);
    const heard = await all(decode(bytes, { sampleRate: rate, secondsMax: measured.seconds }));
    expect([codec, Math.abs(heard.length / rate - 90) < 0.05]).toEqual([codec, true]);
  }
});

test("hours in an MP4 are measured in a moment, whatever its chunks", async () => {
  const folder = mkdtempSync(join(tmpdir(), "oxbow-audio-"));
  const path = join(folder, "long.m4a");
  const silence = ["-f", "lavfi", "-i", "anullsrc=r=8000:cl=mono", "-t", "10800", "-c:a", "aac", "-b:a", "8k"];
  Bun.spawnSync(["ffmpeg", "-loglevel", "error", ...silence, path]);
  const bytes = readFileSync(path);
  rmSync(folder, { recursive: true });
  const before = process.cpuUsage().user;
  expect((await measure(bytes)).seconds).toBeCloseTo(10_800, 0);
  expect((process.cpuUsage().user - before) / 1e6).toBeLessThan(2);
});

test("every kind of PCM in a WAV is read", async () => {
  const base = files.wav!;
  for (const codec of [
    "pcm_u8",
    "pcm_s16le",
    "pcm_s24le",
    "pcm_s32le",
    "pcm_f32le",
    "pcm_f64le",
    "pcm_alaw",
    "pcm_mulaw",
  ]) {
    const command = ["ffmpeg", "-loglevel", "error", "-i", "-", "-c:a", codec, "-f", "wav", "-"];
    const wav = Bun.spawnSync(command, { stdin: base }).stdout as Buffer;
    const ours = await all(decode(wav, { sampleRate: 16_000, secondsMax: seconds + 1 }));
    // Eight bits are rough, and this is not loud.
    const least = ["pcm_u8", "pcm_alaw", "pcm_mulaw"].includes(codec) ? 10 : 20;
    expect([codec, likeness(ours, byFfmpeg(wav, 16_000), 4) > least]).toEqual([codec, true]);
  }
});

test("what was encoded sounds as it did, in every format", async () => {
  const sound = await all(decode(files.wav!, { sampleRate: 24_000, secondsMax: seconds }));
  for (const format of SPEECH_FORMATS) {
    const encoder = await openEncoder(format);
    const parts: Uint8Array[] = [];
    for (let at = 0; at < sound.length; at += 7_001) parts.push(await encoder.push(sound.subarray(at, at + 7_001)));
    parts.push(await encoder.end());
    encoder.close();
    const raw = format === "pcm" ? ["-f", "s16le", "-ar", "24000", "-ac", "1"] : [];
    const heard = byFfmpeg(Buffer.concat(parts), 24_000, raw);
    const exact = ["wav", "pcm", "flac"].includes(format);
    expect([format, likeness(sound, heard, exact ? 0 : 2_400) > (exact ? 60 : 8)]).toEqual([format, true]);
    if (exact || format === "opus") expect([format, heard.length]).toEqual([format, sound.length]);
  }
});

test("a resampled tone is the same tone, whatever the pieces it comes in", () => {
  for (const [from, to] of [
    [44_100, 16_000],
    [8_000, 16_000],
    [48_000, 16_000],
    [22_050, 24_000],
    [11_127, 16_000],
  ] as const) {
    const tone = (rate: number) =>
      Float32Array.from({ length: rate }, (_, at) => Math.sin((2 * Math.PI * 440 * at) / rate));
    const run = (step: number) => {
      const resampler = createResampler(from, to);
      const out: Float32Array[] = [];
      const whole = tone(from);
      for (let at = 0; at < whole.length; at += step) out.push(resampler.push(whole.subarray(at, at + step)));
      return joined([...out, resampler.end()]);
    };
    const found = run(1_000);
    expect(run(777)).toEqual(found);
    expect(Math.abs(found.length - to)).toBeLessThanOrEqual(1);
    const wanted = tone(to);
    let apart = 0;
    for (let at = to / 4; at < to / 2; at++) apart = Math.max(apart, Math.abs(found[at]! - wanted[at]!));
    expect(apart).toBeLessThan(0.002);
  }
});

test("a recording that unpacks to more than it says is refused before it is unpacked", async () => {
  const pieces = decode(wavOf(60), { sampleRate: 16_000, secondsMax: 2 });
  let heard = 0;
  const reading = (async () => {
    for await (const piece of pieces) heard += piece.length;
  })();
  expect(await reading.catch((error) => error)).toBeInstanceOf(ApiError);
  expect(heard / 16_000).toBeLessThanOrEqual(3);
});

test("a FLAC of silence, which is next to nothing, is measured and heard piece by piece", async () => {
  const command = [
    "ffmpeg",
    "-loglevel",
    "error",
    "-f",
    "lavfi",
    "-i",
    "anullsrc=r=8000:cl=mono",
    "-t",
    "7200",
    "-c:a",
    "flac",
    "-f",
    "flac",
    "-",
  ];
  const bomb = Bun.spawnSync(command).stdout as Buffer;
  expect(bomb.length).toBeLessThan(2_000_000);
  const { seconds: long } = await measure(bomb);
  expect(long).toBeGreaterThan(7_100);
  for await (const piece of decode(bomb, { sampleRate: 16_000, secondsMax: long })) {
    // Two hours would be 460 MB.
    expect(piece.length).toBeLessThan(16_000 * 600);
    break;
  }
});

test("what is in a file, its head says, and not bytes that look like frames of an MP3", async () => {
  const encode = ["-f", "lavfi", "-i", "sine=d=3:r=22050", "-c:a", "flac", "-f", "flac", "-"];
  const { stdout: flac } = Bun.spawnSync(["ffmpeg", "-loglevel", "error", ...encode]);
  // As a cover may have them: a block of padding behind the first one of the head.
  const padding = Buffer.alloc(4 + 3 * 417);
  padding.writeUInt32BE(0x0100_0000 + padding.length - 4);
  for (const at of [4, 421, 838]) padding.set([0xff, 0xfb, 0x90, 0x64], at);
  const bytes = Buffer.concat([flac.subarray(0, 42), padding, flac.subarray(42)]);
  expect(await measure(bytes)).toMatchObject({ container: "FLAC", seconds: 3 });
});

test("what is no recording is refused, whatever it begins like", async () => {
  const junk = Buffer.from("junk".repeat(5_000));
  const heads = ["RIFF\u0010\0\0\0WAVEfmt ", "OggS", "fLaC", "ID3", "\u001aE\u00df\u00a3", "\0\0\0\u0020ftypM4A "];
  for (const head of heads) {
    const bytes = Buffer.concat([Buffer.from(head, "latin1"), junk]);
    const reading = all(decode(bytes, { sampleRate: 16_000, secondsMax: 10 }));
    const error = await reading.then(
      (samples) => samples.length,
      (thrown: unknown) => thrown,
    );
    if (!(error instanceof ApiError)) expect(error).toBe(0);
  }
});
