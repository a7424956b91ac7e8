// Recordings for tests: made by hand, or by espeak-ng and ffmpeg, which are other people's programs and therefore judges;
// and forms to send them in.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { wavHead } from "../packages/audio/wav.ts";
import { needPrograms } from "./debian.ts";

/** A WAV of a tone: 16 bits, one channel. */
export function wavOf(seconds: number, sampleRate = 16_000): Buffer {
  const count = Math.round(seconds * sampleRate);
  const samples = Buffer.alloc(2 * count);
  for (let at = 0; at < count; at++) {
    samples.writeInt16LE(Math.round(8_000 * Math.sin((2 * Math.PI * 440 * at) / sampleRate)), 2 * at);
  }
  return Buffer.concat([wavHead(sampleRate, samples.length), samples]);
}

/** @throws Error that names what to install, where it may not itself */
export const needTools = (): void => needPrograms("ffmpeg", "espeak-ng");

/** How ffmpeg writes each format that the wire takes. Two containers have two usual codecs. */
export const ENCODINGS: Record<string, string[]> = {
  wav: [],
  mp3: [],
  mpga: ["-f", "mp3"],
  mpeg: ["-f", "mp3"],
  flac: [],
  ogg: ["-c:a", "libvorbis"],
  opus: ["-c:a", "libopus", "-f", "ogg"],
  webm: ["-c:a", "libopus"],
  m4a: ["-c:a", "aac"],
  mp4: ["-c:a", "aac"],
};

/** `text`, spoken, in every format. @returns bytes by extension, and the seconds of the original */
export function speakInAllFormats(text: string): { files: Record<string, Buffer>; seconds: number } {
  const folder = mkdtempSync(join(tmpdir(), "oxbow-speech-"));
  try {
    const base = join(folder, "base.wav");
    run(["espeak-ng", "-w", base, text]);
    const files = Object.entries(ENCODINGS).map(([extension, options]): [string, Buffer] => {
      const path = join(folder, `out.${extension}`);
      run(["ffmpeg", "-loglevel", "error", "-y", "-i", base, ...options, path]);
      return [extension, readFileSync(path)];
    });
    return { files: Object.fromEntries(files), seconds: (readFileSync(base).length - 44) / 2 / 22_050 };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What ffprobe makes of bytes: the format's name, the codec, and the seconds of what it could decode. */
export function probe(bytes: Uint8Array, input: string[] = []): { codec: string; sampleRate: number; seconds: number } {
  const probed = run(
    [
      "ffprobe",
      "-loglevel",
      "error",
      ...input,
      "-show_entries",
      "stream=codec_name,sample_rate",
      "-of",
      "csv=p=0",
      "-",
    ],
    bytes,
  );
  const [codec, sampleRate] = probed.toString().trim().split(",");
  const samples = run(["ffmpeg", "-loglevel", "error", ...input, "-i", "-", "-f", "s16le", "-ac", "1", "-"], bytes);
  return { codec: codec!, sampleRate: Number(sampleRate), seconds: samples.length / 2 / Number(sampleRate) };
}

function run(command: string[], stdin?: Uint8Array): Buffer {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { ...(stdin && { stdin }) });
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
  return stdout as Buffer;
}

/** A form as bytes, with the header field that it needs. */
export function formOf(fields: Record<string, string>, file?: Uint8Array, filename = "a.wav") {
  const boundary = "form-of-a-test";
  const parts = Object.entries(fields).map(([name, value]) =>
    Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`),
  );
  const head = `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${filename}"\r\nContent-Type: application/octet-stream\r\n\r\n`;
  if (file) parts.push(Buffer.from(head), Buffer.from(file), Buffer.from("\r\n"));
  const body = Buffer.concat([...parts, Buffer.from(`--${boundary}--\r\n`)]);
  return { body, headers: { "content-type": `multipart/form-data; boundary=${boundary}` } };
}
