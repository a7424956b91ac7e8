// What the worker tells a monitoring system, as Prometheus text. No label has a value that a client chooses.

import type { Sample } from "./families/family.ts";

/** By status, or `aborted` when the caller went away first. A stream counts when it begins. */
export type RequestOutcome = "ok" | "refused" | "failed" | "aborted";

export function createMetrics() {
  const requests = new Map<string, number>();
  let running = 0;
  return {
    begin(): void {
      running++;
    },
    end(path: string, outcome: RequestOutcome): void {
      running--;
      const labels = `{path="${path}",outcome="${outcome}"}`;
      requests.set(labels, (requests.get(labels) ?? 0) + 1);
    },
    /** @param samples of the family */
    render(samples: Sample[]): string {
      const lines = [
        ...family("gauge", "requests_running", "Requests being answered.", [["", running]]),
        ...family("counter", "requests_total", "Requests by how they began to be answered.", [...requests]),
        ...samples.flatMap(({ type, name, help, value }) => family(type, name, help, [["", value]])),
      ];
      return `${lines.join("\n")}\n`;
    },
  };
}

function family(type: string, name: string, help: string, samples: [labels: string, value: number][]): string[] {
  const full = `oxbow_onnx_${name}`;
  return [`# HELP ${full} ${help}`, `# TYPE ${full} ${type}`, ...samples.map((each) => `${full}${each.join(" ")}`)];
}
