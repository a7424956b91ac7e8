// The process itself: memory, processor time, and how late its one thread comes to what is due. prom-client's own default
// metrics read 0 for the lag on this runtime (measured, 1.4.5), so a timer of ours measures it.

import { createSpread, type Family, type Sample } from "./tally.ts";

const LAG_S = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];
/** Often enough to see a thread that blocks for long, seldom enough to cost nothing. */
const LAG_EVERY_MS = 200;

export function processFamilies(): { families: Family[]; stop: () => void } {
  const lag = createSpread(LAG_S);
  let dueMs = performance.now() + LAG_EVERY_MS;
  const timer = setInterval(() => {
    const at = performance.now();
    lag.add(Math.max(0, at - dueMs) / 1000);
    dueMs = at + LAG_EVERY_MS;
  }, LAG_EVERY_MS);
  // It watches; it keeps nothing alive.
  timer.unref();

  const startedS = Date.now() / 1000 - process.uptime();
  const one = (value: number): Sample[] => [{ labels: {}, value }];
  const families: Family[] = [
    {
      name: "oxbow_event_loop_lag_seconds",
      help: "How late a timer of the thread that serves requests was.",
      type: "histogram",
      samples: () => lag.samples("oxbow_event_loop_lag_seconds", {}),
    },
    {
      name: "process_resident_memory_bytes",
      help: "Memory of the gateway's process, without its workers.",
      type: "gauge",
      samples: () => one(process.memoryUsage.rss()),
    },
    {
      name: "process_cpu_seconds_total",
      help: "Processor time of the gateway's process, all threads.",
      type: "counter",
      samples: () => {
        const { user, system } = process.cpuUsage();
        return one((user + system) / 1e6);
      },
    },
    {
      name: "process_start_time_seconds",
      help: "When the process started, in Unix seconds.",
      type: "gauge",
      samples: () => one(startedS),
    },
  ];
  return { families, stop: () => clearInterval(timer) };
}
