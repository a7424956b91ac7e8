// What the operator reads while the server starts: the plan, a line for each step as it gets done, and at the end how to
// make the first call. For people, so it goes to standard error; the first key alone goes to standard output.

import type { ModelStatus } from "./fleet/fleet.ts";

export interface Plan {
  version: string;
  baseUrl: string;
  home: string;
  /** One line for each engine: its name, its models, and roughly the memory it will take. */
  engines: { id: string; models: string; slots: number; bytes: number; pinned: boolean; url?: string | undefined }[];
  /** Free memory of the machine, or of the control group. */
  freeBytes: number;
}

export interface Report {
  plan(plan: Plan): void;
  done(text: string): void;
  /** A model's state has changed, and with it that of its engine. */
  model(status: ModelStatus): void;
  /** Says what the line that follows on standard output is. */
  firstKey(): void;
  ready(baseUrl: string, model: FirstModel | undefined): void;
  say(text: string): void;
}

/**
 * @param write takes text for standard error
 * @param live whether a line may be written over, as on a terminal
 */
export function createReport(write: (text: string) => void, live: boolean): Report {
  let open = false;
  const last = new Map<string, string>();

  /** A line that a later one of the same step may replace. */
  function passing(text: string): void {
    if (live) write(`\r\x1b[2K${text}`);
    open = live;
  }
  function line(text: string): void {
    write(`${open ? "\r\x1b[2K" : ""}${text}\n`);
    open = false;
  }

  return {
    plan: ({ version, baseUrl, home, engines, freeBytes }) => {
      line(`Oxbow ${version}`);
      line(`  base URL  ${baseUrl}`);
      line(`  home      ${home}`);
      for (const { id, models, slots, bytes, pinned, url } of engines) {
        const where = url === undefined ? `about ${inMegabytes(bytes)}${pinned ? "" : " when asked for"}` : `at ${url}`;
        line(`  engine    ${id}: ${models}, ${slots} at a time, ${where}`);
      }
      line(`  memory    ${inMegabytes(freeBytes)} free`);
      line("");
    },
    done: (text) => line(`  ✓ ${text}`),
    model: (status) => {
      // The models of one engine change together: one line for all of them.
      const name = status.engine;
      const key = `${status.state}${status.reason ?? ""}`;
      if (status.state === "loading") {
        const percent = status.progress === undefined ? "" : ` ${Math.round(status.progress * 100)} %`;
        passing(`  … ${name} loading${percent}`);
      } else if (last.get(name) !== key) {
        line(
          status.state === "warm"
            ? `  ✓ ${status.id} warm`
            : status.state === "cold"
              ? `  – ${status.id} cold: it is loaded when it is asked for`
              : `  ✗ ${status.id} ${status.state}: ${status.reason ?? ""}`,
        );
      }
      last.set(name, key);
    },
    firstKey: () => line("  Your first API key, shown this once (keep it as OXBOW_API_KEY):"),
    ready: (baseUrl, model) => {
      line(`\nReady at ${baseUrl}\n`);
      const call = model && firstCallOf(model);
      if (call) line(`${curl(baseUrl, call)}\n`);
    },
    say: line,
  };
}

export interface FirstModel {
  id: string;
  capabilities: readonly string[];
  speech?: { voices: readonly string[] };
}

/** What to try first: how curl is told, line by line behind the address. */
type FirstCall = [path: string, ...told: string[]];

const KEY = `-H "Authorization: Bearer $OXBOW_API_KEY"`;

/** By ability; whoever has none of these writes. */
const FIRST_CALLS: Record<string, (model: FirstModel) => FirstCall> = {
  embeddings: ({ id }) => ["/embeddings", ...json(`{"model": "${id}", "input": "Hello!"}`)],
  transcription: ({ id }) => ["/audio/transcriptions", KEY, `-F model=${id} -F file=@recording.mp3`],
  speech: ({ id, speech }) => [
    "/audio/speech",
    ...json(`{"model": "${id}", "voice": "${speech?.voices[0] ?? "alloy"}", "input": "Hello!"}`),
    "-o hello.mp3",
  ],
  image_generation: ({ id }) => ["/images/generations", ...json(`{"model": "${id}", "prompt": "a lighthouse"}`)],
  detection: ({ id }) => ["/images/detections", KEY, `-F model=${id} -F image=@photo.jpg`],
};

function firstCallOf(model: FirstModel): FirstCall {
  const ability = Object.keys(FIRST_CALLS).find((each) => model.capabilities.includes(each));
  if (ability !== undefined) return FIRST_CALLS[ability]!(model);
  const hello = `{"model": "${model.id}", "messages": [{"role": "user", "content": "Hello!"}]}`;
  return ["/chat/completions", ...json(hello)];
}

function json(body: string): string[] {
  return [`${KEY} -H "Content-Type: application/json"`, `-d '${body}'`];
}

function curl(baseUrl: string, [path, ...told]: FirstCall): string {
  return `  ${[`curl ${baseUrl}${path}`, ...told].join(" \\\n    ")}`;
}

function inMegabytes(bytes: number): string {
  return bytes >= 1e10 ? `${(bytes / 1e9).toFixed(0)} GB` : `${Math.ceil(bytes / 1e6)} MB`;
}
