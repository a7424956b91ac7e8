// The processes of this machine, as /proc tells of them: who is whose child, and what it runs.

import { readdirSync, readFileSync } from "node:fs";

export interface Process {
  pid: number;
  parent: number;
  command: string;
}

export function childrenOf(pid: number): Process[] {
  return processes().filter((each) => each.parent === pid);
}

export function isAlive(pid: number): boolean {
  // A zombie still has an entry, and is as dead as can be until its parent looks.
  return stateOf(pid) !== null && stateOf(pid) !== "Z";
}

function processes(): Process[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    const stat = statOf(Number(name));
    if (!stat) return [];
    try {
      const command = readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ");
      return [{ pid: Number(name), parent: Number(stat[1]), command }];
    } catch {
      return []; // it has ended since the folder was listed
    }
  });
}

function stateOf(pid: number): string | null {
  return statOf(pid)?.[0] ?? null;
}

/** State, parent and the rest: what follows the name, which may itself hold spaces and brackets. */
function statOf(pid: number): string[] | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return null; // there is no such process
  }
}
