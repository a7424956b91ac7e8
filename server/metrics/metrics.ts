// Numbers for the operator, in the form that Prometheus reads. Requests are counted here at their end; how things stand is
// asked of the other rooms at every scrape. Labels name what the operator wrote into data/ (models, plans, engines, classes)
// and rows of our own tables (endpoints, errors, outcomes): never an account, a key, or anything that a caller can choose.

import { processFamilies } from "./process.ts";
import { createRequestMetrics } from "./requests.ts";
import { type Sources, stateFamilies } from "./state.ts";
import { createRegistry, createSpread, type Family } from "./tally.ts";

export type { RequestRecord } from "./record.ts";
export type { Sources } from "./state.ts";

export type Metrics = ReturnType<typeof createMetrics>;

/** A disk with its own cache answers in a fraction of a millisecond, one that syncs in tens of them. */
const COMMIT_S = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];
const COMMIT = "oxbow_ledger_commit_seconds";

export function createMetrics(sources: Sources) {
  const requests = createRequestMetrics();
  const own = processFamilies();
  const commits = createSpread(COMMIT_S);
  const commitFamily: Family = {
    name: COMMIT,
    help: "From sending a batch to the ledger's writer to its being on disk.",
    type: "histogram",
    samples: () => commits.samples(COMMIT, {}),
  };
  const families = [...requests.families(), ...stateFamilies(sources), commitFamily, ...own.families];
  const registry = createRegistry(families);
  return {
    /** Counts a request that has ended. Once for each. */
    observe: requests.observe,
    /** A batch of the ledger is on disk. @param ms since it was sent to the writer */
    committed: (ms: number): void => commits.add(ms / 1000),
    contentType: registry.contentType,
    /** All of it, in Prometheus' text format 0.0.4. */
    render: registry.render,
    stop: own.stop,
  };
}
