// `npm run bench:queue`: who waits how long when more calls come than a model has room for. Prints a table for an hour on a
// virtual clock, for the same with callers in order of arrival, and for a minute of real HTTP through the gateway to the
// simulator. One of them by name: `npm run bench:queue -- simulated`, `-- http`.

import { loadConfig } from "../server/config.ts";
import { benchQueueHttp } from "./queue-http.ts";
import { type GroupResult, mixedLoad, type SimulationOptions, simulate } from "./queue-simulation.ts";

const parts = process.argv.slice(2).filter((argument) => !argument.startsWith("-"));
const wanted = (part: string) => parts.length === 0 || parts.includes(part);
/** Load, as a multiple of what the slots can do. */
const LOAD = Number(process.env.BENCH_LOAD ?? 1.5);

if (wanted("simulated")) {
  const slots = 16;
  const serviceMsMean = 4_000;
  const options: SimulationOptions = {
    classes: loadConfig({ env: {} }).queue,
    slots,
    serviceMsMean,
    accounts: mixedLoad((LOAD * slots * 1_000) / serviceMsMean),
    ms: 3_600_000,
    warmUpMs: 600_000,
    seed: 1,
  };
  print(
    `an hour on a virtual clock, ${slots} slots, ${serviceMsMean / 1_000} s a call, load ${LOAD}`,
    simulate(options),
  );
  print("the same in order of arrival", simulate({ ...options, fifo: true }));
}
if (wanted("http")) {
  const setting = { slots: 16, serviceMs: 500, ms: 60_000, warmUpMs: 10_000, load: LOAD };
  const title = `${setting.ms / 1_000} s of HTTP, ${setting.slots} slots, ${setting.serviceMs / 1_000} s a call, load ${LOAD}`;
  print(title, await benchQueueHttp(setting));
}
process.exit(0);

function print(title: string, results: GroupResult[]): void {
  const all = results.reduce((sum, { served }) => sum + served, 0);
  const seconds = (ms: number | null) => (ms === null ? null : Math.round(ms / 10) / 100);
  console.log(`\n${title}`);
  console.table(
    results.map(({ group, came, served, refused, expired, p50, p99 }) => ({
      callers: group,
      came,
      served,
      "% of all served": Math.round((1_000 * served) / all) / 10,
      "% shed": Math.round((1_000 * (refused + expired)) / came) / 10,
      "refused at once": refused,
      "waited in vain": expired,
      "wait p50, s": seconds(p50),
      "wait p99, s": seconds(p99),
    })),
  );
}
