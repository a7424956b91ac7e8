// How a pull is shown: a bar for each file on a terminal, lines elsewhere, JSON for programs.

import type { PullEvent } from "../server/weights/weights.ts";
import { bytesText, leftText } from "./values.ts";

export interface PullView {
  event(event: PullEvent): void;
  /** Nothing comes any more. */
  end(): void;
}

/** One event a line, those that only move a bar at most a few times a second for each file. */
export function createJsonLines(print: (line: string) => void, now = () => performance.now()): PullView {
  const due = createPace(now, JSON_MS);
  return {
    event: (event) => {
      if (isStep(event) && !due(`${event.type} ${event.path}`)) return;
      print(JSON.stringify(event));
    },
    end: () => {},
  };
}

const JSON_MS = 250;

/** A line when something happens, and one now and then that it goes on. */
export function createLines(say: (line: string) => void, now: () => number): PullView {
  const due = createPace(now, LINES_MS);
  const speed = createSpeed(now);
  const files = new Map<string, number>();
  let total = 0;
  due("progress");
  return {
    event(event) {
      if (event.type === "plan") {
        total = event.bytes;
        for (const { path, here } of event.files) files.set(path, here);
      }
      if (isStep(event) && event.type !== "check") files.set(event.path, event.bytes);
      const done = [...files.values()].reduce((sum, bytes) => sum + bytes, 0);
      speed.note(done);
      const line = lineOf(event);
      if (line !== null) say(line);
      else if (due("progress")) say(`  ${bytesText(done)} of ${bytesText(total)}${speed.text(total - done)}`);
    },
    end: () => {},
  };
}

const LINES_MS = 10_000;

function lineOf(event: PullEvent): string | null {
  switch (event.type) {
    case "plan":
      return planOf(event);
    case "retry":
      return `${event.path}: ${event.reason} Trying again in ${leftText(event.waitMs)}.`;
    case "again":
      return `${event.path}: its checksum is wrong, so all of it comes again.`;
    case "done":
      return `${event.path}: complete (${bytesText(event.bytes)})`;
    default:
      return null;
  }
}

function planOf({ repository, commit, files, bytes, bytesLeft, freeBytes }: PullEvent & { type: "plan" }): string {
  const what = `${repository} at ${commit.slice(0, 12)}: ${files.length} ${files.length === 1 ? "file" : "files"}, ${bytesText(bytes)}`;
  if (bytesLeft === 0) return `${what}, all here`;
  const left = bytesLeft === bytes ? "" : `, ${bytesText(bytesLeft)} to come`;
  return `${what}${left}; ${bytesText(freeBytes)} free`;
}

interface Bar {
  total: number;
  bytes: number;
  what: string;
  speed: ReturnType<typeof createSpeed>;
}

/** Redraws its lines in place. Files that are complete move up and stay. */
export function createBars(out: { write(text: string): void; columns(): number; now(): number }): PullView {
  const { write, columns, now } = out;
  const due = createPace(now, BARS_MS);
  const bars = new Map<string, Bar>();
  let drawn = 0;

  function draw(above?: string) {
    // Up to the first of our lines, and away with all from there.
    let text = drawn > 0 ? `\x1b[${drawn}A\x1b[0J` : "";
    if (above !== undefined) text += `${above}\n`;
    for (const [path, bar] of bars) text += `${barOf(path, bar, columns())}\n`;
    drawn = bars.size;
    write(text);
  }

  return {
    event(event) {
      if (isStep(event)) {
        const bar = bars.get(event.path) ?? { total: event.total, bytes: 0, what: "", speed: createSpeed(now) };
        bars.set(event.path, bar);
        // Each phase has its own way through the file.
        if (bar.what !== WHAT[event.type]) bar.speed = createSpeed(now);
        bar.what = WHAT[event.type];
        bar.bytes = event.bytes;
        bar.speed.note(event.bytes);
        if (due("draw")) draw();
        return;
      }
      if (event.type === "done") bars.delete(event.path);
      draw(lineOf(event) ?? undefined);
    },
    end() {
      if (bars.size > 0) draw();
    },
  };
}

const BARS_MS = 100;
const WHAT = { transfer: "", attached: "by another process", check: "checksum" } as const;

function barOf(path: string, { total, bytes, what, speed }: Bar, columns: number): string {
  const share = total === 0 ? 1 : Math.min(1, bytes / total);
  const right = ` ${String(Math.floor(share * 100)).padStart(3)} % of ${bytesText(total)}${what === "" ? "" : `, ${what}`}${speed.text(total - bytes)}`;
  const width = Math.max(8, Math.min(30, columns - right.length - 24));
  const full = Math.round(share * width);
  const name = path.split("/").at(-1)!;
  const room = Math.max(8, columns - width - right.length - 4);
  const shown = name.length > room ? `${name.slice(0, room - 1)}…` : name.padEnd(Math.min(room, 40));
  return `${shown} [${"#".repeat(full)}${".".repeat(width - full)}]${right}`.slice(0, columns - 1);
}

/** Bytes a second over the last few seconds, and what that means for the rest. */
function createSpeed(now: () => number) {
  const marks: [at: number, bytes: number][] = [];
  return {
    note(bytes: number) {
      const at = now();
      // A step back: it began anew.
      if (bytes < (marks.at(-1)?.[1] ?? 0)) marks.length = 0;
      const last = marks.at(-1);
      if (last && at - last[0] < 100 && marks.length > 1) last[1] = bytes;
      else marks.push([at, bytes]);
      while (marks.length > 2 && at - marks[0]![0] > SPEED_MS) marks.shift();
    },
    text(left: number): string {
      const [first, last] = [marks[0], marks.at(-1)];
      if (!first || !last || last[0] - first[0] < 500 || last[1] <= first[1]) return "";
      const perSecond = ((last[1] - first[1]) / (last[0] - first[0])) * 1000;
      return `, ${bytesText(perSecond)}/s, ${leftText((left / perSecond) * 1000)} left`;
    },
  };
}

const SPEED_MS = 5_000;

type Step = PullEvent & { type: "transfer" | "attached" | "check" };

function isStep(event: PullEvent): event is Step {
  return event.type === "transfer" || event.type === "attached" || event.type === "check";
}

/** Whether it is time again for what is called `name`. */
function createPace(now: () => number, everyMs: number): (name: string) => boolean {
  const last = new Map<string, number>();
  return (name) => {
    const at = now();
    if (at - (last.get(name) ?? Number.NEGATIVE_INFINITY) < everyMs) return false;
    last.set(name, at);
    return true;
  };
}
