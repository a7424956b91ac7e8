// What tests of one model's engines share: replicas without anything behind them.

import type { EngineEntry } from "../config.ts";
import { createEngine } from "../engines/engines.ts";
import { placeIn, type Wish } from "./group.ts";
import type { Look } from "./health.ts";
import { createReplica, type HostState, type Load } from "./replica.ts";

export const SLOW_START_MS = 10_000;

/** Engines of one model behind which is nothing but what the test says, on a clock that stands still. */
export function groupOf(...entries: Partial<EngineEntry>[]) {
  const clock = { now: 0 };
  const members = entries.map((more, index) => {
    const id = `e${index}`;
    const entry = { id, kind: "k", models: [{ id: "m" }], slots: 8, weight: 1, tags: [], pinned: true, options: {} };
    const said = { state: { state: "warm" } as HostState, look: "well" as Look, load: null as Load | null };
    const about = { id, kind: "k", features: [], simulated: false, slots: 8 };
    const replica = createReplica({
      entry: { ...entry, ...more },
      host: {
        engine: createEngine({ ...about, address: { baseUrl: "http://127.0.0.1:1/v1" } }),
        models: [],
        start: () => {},
        state: () => said.state,
        warmInMs: () => 700 * (index + 1),
        warm: () => {},
        load: () => {},
        rest: () => {},
        unload: async () => {},
        fail: () => {},
        reload: () => {},
        look: async () => said.look,
        readLoad: async () => said.load,
        stop: async () => {},
      },
      now: () => clock.now,
      onFree: () => {},
      log: { info() {}, error() {} },
      errorsMax: 2,
      lookMs: 1e9,
      slowStartMs: SLOW_START_MS,
    });
    return { replica, said };
  });
  const replicas = members.map(({ replica }) => replica);
  let turn = 0;
  const place = (wish: Wish = {}) => placeIn(replicas, "m", wish, 1.25, turn++);
  const all = (wish: Wish = {}) => {
    const went: string[] = [];
    for (let placed = place(wish); placed !== null; placed = place(wish)) went.push(placed.replica.entry.id);
    return went;
  };
  return { clock, replicas, said: members.map(({ said }) => said), place, all };
}
