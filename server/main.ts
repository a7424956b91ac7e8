// Builds the rooms, joins them, and listens. The only file that knows every room.

import { join } from "node:path";
import pino from "pino";
import { createAccounts } from "./accounts/accounts.ts";
import { createAdmission } from "./admission/admission.ts";
import { availableBytes, checkMemory, checkRuntime } from "./checks.ts";
import { type Config, createEngines, createPlans, loadConfig, readTraffic } from "./config.ts";
import { createFleet, type Engine, type Fleet, type Outcome } from "./fleet/fleet.ts";
import { createGateway, createRetryBudget } from "./gateway/gateway.ts";
import { openLedger } from "./ledger/ledger.ts";
import { baseUrlOf, listen } from "./listen.ts";
import { createMedia } from "./media/media.ts";
import { createMetrics } from "./metrics/metrics.ts";
import { createReload } from "./reload.ts";
import { createReport } from "./report.ts";
import { createRequestLog } from "./request-log.ts";
import { createSecondCall } from "./second-call.ts";
import { createShutdown } from "./shutdown.ts";
import { lockHome, openStore } from "./store/store.ts";
import { createTraces } from "./traces/traces.ts";
import { createTraffic } from "./traffic/traffic.ts";
import { createWeights } from "./weights/weights.ts";

export interface StartOptions {
  env: Record<string, string | undefined>;
  port?: number;
  host?: string;
  home?: string;
  simulate?: boolean;
  dataDir?: string;
}

/**
 * Starts the server and resolves once it is ready: every pinned model has answered, or has failed for good.
 * @throws StartError with one line for the operator
 */
export async function start(options: StartOptions): Promise<void> {
  const report = createReport((text) => process.stderr.write(text), process.stderr.isTTY === true);
  const config = loadConfig(options);
  const plans = createPlans(config);
  // On a terminal the report speaks; JSON lines between its own only when they matter.
  const level = process.stderr.isTTY && !options.env.OXBOW_LOG_LEVEL ? "warn" : config.logLevel;
  const standardError = pino.destination({ fd: 2, sync: true });
  const log = pino({ level, base: null }, standardError);
  const requestLog = createRequestLog({
    write: (text) => standardError.write(text),
    probes: log.isLevelEnabled("debug"),
    now: Date.now,
  });
  const logsRequests = config.logRequests && log.isLevelEnabled("info");
  checkRuntime(options.env);
  // Before anyone can know whom to signal: without a listener the signal would end the process.
  let reload = (): void => {};
  process.on("SIGHUP", () => reload());
  const lock = lockHome(config.home);
  const store = await openStore(config.home);
  // Asks the rooms only when it is asked itself, and by then they are there.
  const metrics = createMetrics({
    version: config.version,
    queues: () => admission.queues(),
    engines: () => fleet.engines(),
    models: () => fleet.states(),
    refusals: () => admission.refusals(),
    ledger: () => ledger.counts(),
    streams: () => gateway.streams(),
    bodyBytes: () => gateway.bodyBytes(),
    mirrors: () => traffic.mirrors(),
  });
  const ledger = await openLedger({
    home: config.home,
    now: Date.now,
    settleMsMax: config.limits.settleMsMax,
    onCommit: metrics.committed,
  });
  const accounts = await createAccounts(store, {
    home: config.home,
    pepper: config.pepper,
    catalogue: () => ({ ...plans.table(), models: config.models }),
    now: Date.now,
  });
  accounts.checkPlans(plans.list());

  const weights = createWeights({
    home: config.home,
    env: options.env,
    models: config.models,
    stallMsMax: config.limits.pullStallMsMax,
  });
  // What is free now, before any of it is taken by what is loaded.
  const freeBytes = availableBytes();
  const memoryBytes = Math.min(freeBytes, config.limits.memoryBytesMax || Number.POSITIVE_INFINITY);
  const fleet = createFleet({
    engines: config.engines,
    kinds: config.kinds,
    pools: config.pools,
    memoryBytes,
    weightsOf: weights.pathOf,
    models: config.models,
    env: options.env,
    loadMsMax: config.limits.loadMsMax,
    limits: config.limits,
    classes: config.queue.map(({ id }) => id),
    log,
  });
  const admission = createAdmission<Engine, Outcome>({
    plans: plans.list,
    settled: ledger.settled,
    settledByKey: ledger.settledByKey,
    lastDay: ledger.day(),
    place: fleet.place,
    pool: fleet.pool,
    classes: config.queue,
    now: Date.now,
    monotonic: () => performance.now(),
  });
  fleet.onFree(admission.pump);
  const engines = createEngines({ ...config, env: options.env });
  const media = createMedia({
    fetch: { enabled: config.fetchUrls, allowed: config.fetchAllow, msMax: config.limits.fetchMsMax },
    blobs: {
      folder: join(config.home, "images"),
      bytesMax: config.limits.blobBytesMax,
      ageMsMax: config.limits.blobMsMax,
      now: Date.now,
    },
    program: join(import.meta.dir, "../workers/media/main.ts"),
    env: options.env,
  });

  const shutdown = createShutdown({ drainMsMax: config.limits.drainMsMax, say: report.say });
  fleet.onChange((status) => shutdown.draining() || report.model(status));
  const traces = await createTraces({ ...config.traces, version: config.version, random: Math.random, log });
  const traffic = createTraffic({
    table: config.traffic,
    home: config.home,
    send: createSecondCall({
      fleet,
      waiting: () => admission.counts().waiting,
      priority: config.queue.at(-1)?.id,
    }),
    answerMsMax: config.limits.answerMsMax,
    random: Math.random,
    now: Date.now,
    log,
  });
  reload = createReload({
    home: config.home,
    tables: [
      {
        name: "plans",
        read: () => plans.reload((table) => accounts.checkPlans(table.plans)),
        inForce: () => plans.list().map(({ id, version }) => `${id}@${version}`),
      },
      {
        name: "engines",
        read: () => engines.reload(fleet.apply),
        inForce: () => engines.table().engines.map(({ id }) => id),
      },
      {
        // After the engines: its entries name some of them.
        name: "traffic",
        read: () => traffic.apply(readTraffic(config.dataDir, config.models, fleet.engines())),
        inForce: traffic.inForce,
      },
    ],
    now: Date.now,
    log,
  });
  const gateway = createGateway({
    accounts,
    ledger,
    admission,
    fleet,
    media,
    publicUrl: config.publicUrl,
    ownUrl: () => new URL(baseUrlOf(config.host, server.port)).origin,
    usage: ledger.usage,
    models: config.models,
    memoryBytes: freeBytes,
    limits: config.limits,
    version: config.version,
    metrics: { ...config.metrics, contentType: metrics.contentType, render: metrics.render },
    traces,
    traffic,
    observe: (record) => {
      metrics.observe(record);
      traffic.ended(record);
      if (logsRequests) requestLog.add(record);
    },
    draining: shutdown.draining,
    retries: createRetryBudget(config.limits.retryPercentMax),
    log,
  });
  const pinned = config.engines.filter((entry) => entry.pinned);
  checkMemory(
    pinned.map((entry) => ({ id: entry.id, bytes: fleet.estimateBytes(entry) })),
    memoryBytes,
  );
  const server = listen(config, gateway.handle);
  const baseUrl = baseUrlOf(config.host, server.port);
  report.plan(planOf(config, baseUrl, fleet));
  // Nothing that commonly fails comes after this, and the key goes out at once: it cannot be shown a second time.
  const firstKey = await accounts.bootstrap({ plan: config.adminPlan, bootstrapKey: config.bootstrapKey });
  if (firstKey) {
    report.firstKey();
    process.stdout.write(`${firstKey}\n`);
  }

  shutdown.begin(server, {
    refuse: admission.close,
    cut: gateway.stop,
    close: async () => {
      await fleet.stop();
      media.stop();
      await ledger.close();
      await accounts.close();
      await store.close();
      requestLog.flush();
      await traffic.close();
      await traces.close();
      lock.release();
    },
  });

  await fleet.start();
  if (shutdown.draining()) return;
  const callable = fleet.states().find((status) => status.state === "warm");
  const model = config.models.find(({ id }) => id === callable?.id);
  if (fleet.ready()) report.ready(baseUrl, model);
  else report.say(`\nUp at ${baseUrl}, but not ready: a model that must be warm is not (see above, and /ready).`);
}

function planOf(config: Config, baseUrl: string, fleet: Fleet) {
  const engines = config.engines.map((entry) => ({
    id: entry.id,
    models: entry.models === "all" ? "the whole catalogue" : entry.models.map((model) => model.id).join(", "),
    slots: entry.slots,
    bytes: fleet.estimateBytes(entry),
    pinned: entry.pinned,
    url: entry.url,
  }));
  return { version: config.version, baseUrl, home: config.home, engines, freeBytes: availableBytes() };
}
