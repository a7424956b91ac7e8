// What a worker tells a monitoring system, as Prometheus text. No label has a value that a client chooses.

export interface Sample {
  type: "gauge" | "counter";
  /** Without the prefix of the program. */
  name: string;
  help: string;
  value: number;
}

/** By status, or `aborted` when the caller went away first. A stream counts when it begins. */
export type RequestOutcome = "ok" | "refused" | "failed" | "aborted";

/** @param program what names begin with: `oxbow_<program>_` */
export function createMetrics(program: string) {
  const requests = new Map<string, number>();
  let running = 0;

  function family(type: string, name: string, help: string, samples: Iterable<[labels: string, value: number]>) {
    const full = `oxbow_${program}_${name}`;
    return [`# HELP ${full} ${help}`, `# TYPE ${full} ${type}`, ...[...samples].map((each) => full + each.join(" "))];
  }

  return {
    begin(): void {
      running++;
    },
    end(path: string, outcome: RequestOutcome): void {
      running--;
      const labels = `{path="${path}",outcome="${outcome}"}`;
      requests.set(labels, (requests.get(labels) ?? 0) + 1);
    },
    /** @param samples what the program itself has to tell */
    render(samples: readonly Sample[]): string {
      const lines = [
        ...family("gauge", "requests_running", "Requests whose answer has not begun.", [["", running]]),
        ...family("counter", "requests_total", "Requests by how they began to be answered.", requests),
        ...samples.flatMap(({ type, name, help, value }) => family(type, name, help, [["", value]])),
      ];
      return `${lines.join("\n")}\n`;
    },
  };
}
