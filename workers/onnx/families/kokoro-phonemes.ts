// Text to phonemes, as espeak-ng writes them: by its WebAssembly build for English, where that is installed, and by the
// program itself, where the machine has it, for all others.

import { UnusableModel } from "@oxbow/worker";

/** The languages that a voice's first letter stands for. Source: the list of Kokoro's voices, read 2026-11-21. */
const LANGUAGES: Record<string, string> = {
  a: "en-us",
  b: "en-gb",
  e: "es",
  f: "fr-fr",
  h: "hi",
  i: "it",
  p: "pt-br",
};

export interface Phonemizer {
  /** Whether the language of a voice can be read here. */
  reads(voice: string): boolean;
  phonemize(text: string, voice: string): Promise<string>;
}

type Library = { phonemize(text: string, language?: string): Promise<string[]> };

/** @throws UnusableModel when neither is there */
export async function openPhonemizer(): Promise<Phonemizer> {
  // Optional: its code is under another licence than ours (GPL-3, espeak-ng).
  const library: Library | null = await import("phonemizer").catch(() => null);
  const program = Bun.which("espeak-ng");
  if (!library && !program)
    throw new UnusableModel("needs espeak-ng or the package phonemizer, and neither is installed");
  const byLibrary = (language: string) => library !== null && language.startsWith("en-");
  const languageOf = (voice: string) => LANGUAGES[voice[0]!];

  async function read(text: string, language: string): Promise<string> {
    if (byLibrary(language)) return (await library!.phonemize(text, language)).join(" ");
    const child = Bun.spawn([program!, "--ipa=3", "-q", "-v", language, "--stdin"], {
      stdin: "pipe",
      stderr: "ignore",
    });
    child.stdin.write(text);
    await child.stdin.end();
    return (await child.stdout.text()).replaceAll("\u200d", "").replace(/_/g, "").replace(/\s+/g, " ");
  }

  return {
    reads: (voice) => {
      const language = languageOf(voice);
      return language !== undefined && (byLibrary(language) || program !== null);
    },
    async phonemize(text, voice) {
      const language = languageOf(voice)!;
      let out = "";
      // espeak-ng keeps no punctuation, and the model pauses by it.
      for (const [part] of text.matchAll(/[^;:,.!?—…"()“”]+|[;:,.!?—…"()“”]+/g)) {
        const isMark = /^[;:,.!?—…"()“”]/.test(part);
        if (isMark || part.trim() === "") out += part;
        else
          out += `${/^\s/.test(part) ? " " : ""}${(await read(part, language)).trim()}${/\s$/.test(part) ? " " : ""}`;
      }
      return adapt(out.trim());
    },
  };
}

/** Sounds that the model was not trained on, by their nearest; a number's point stays inside of the number. */
const NEAREST: Record<string, string> = { r: "ɹ", x: "k", ʲ: "j", ɬ: "l" };

function adapt(phonemes: string): string {
  return phonemes.replace(/[rxʲɬ]/g, (sound) => NEAREST[sound]!);
}
