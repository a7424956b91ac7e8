// Builds the rooms, joins them, and listens. The only file that knows every room.

import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import type { Server } from "bun";
import pino from "pino";
import { createAccounts } from "./accounts/accounts.ts";
import { createAdmission } from "./admission/admission.ts";
import { availableBytes, checkMemory, checkRuntime, describeListenError } from "./checks.ts";
import { type Config, createEngines, createPlans, loadConfig, readTraffic } from "./config.ts";
import { createFleet, type Engine, type Fleet, type Outcome } from "./fleet/fleet.ts";
import { createGateway, createRetryBudget } from "./gateway/gateway.ts";
import { openLedger } from "./ledger/ledger.ts";
import { createMedia } from "./media/media.ts";
import { createMetrics } from "./metrics/metrics.ts";
import { createReload } from "./reload.ts";
import { createReport } from "./report.ts";
import { createRequestLog } from "./request-log.ts";
import { createSecondCall } from "./second-call.ts";
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
  });

  let draining = false;
  fleet.onChange((status) => draining || report.model(status));
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
    ownUrl: () => `http://${urlHost(config.host)}:${server.port}`,
    usage: ledger.usage,
    usageToday: (caller) => {
      const { requestsPerDay: quota, unitsInFlight } = admission.state(caller);
      const day = ledger.day();
      return {
        day,
        used: ledger.settled(caller.accountId, day),
        in_flight: unitsInFlight,
        limit: quota?.limit ?? null,
        remaining: quota?.remaining ?? null,
      };
    },
    usageLimits: (caller) => {
      const limits = admission.limitsOf(caller);
      return {
        requests_per_day: limits.requestsPerDay,
        requests_per_minute: limits.requestsPerMinute,
        input_tokens_max: limits.inputTokensMax,
        output_tokens_max: limits.outputTokensMax,
        audio_seconds_max: limits.audioSecondsMax,
        image_pixels_max: limits.imagePixelsMax,
        speech_characters_max: limits.speechCharactersMax,
        concurrency_max: limits.concurrencyMax,
      };
    },
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
    draining: () => draining,
    retries: createRetryBudget(config.limits.retryPercentMax),
    log,
  });
  const pinned = config.engines.filter((entry) => entry.pinned);
  checkMemory(
    pinned.map((entry) => ({ id: entry.id, bytes: fleet.estimateBytes(entry) })),
    memoryBytes,
  );
  const server = listen(config, gateway.handle);
  const baseUrl = `http://${urlHost(config.host)}:${server.port}/v1`;
  report.plan(planOf(config, baseUrl, fleet));
  // Nothing that commonly fails comes after this, and the key goes out at once: it cannot be shown a second time.
  const firstKey = await accounts.bootstrap({ plan: config.adminPlan, bootstrapKey: config.bootstrapKey });
  if (firstKey) {
    report.firstKey();
    process.stdout.write(`${firstKey}\n`);
  }

  async function drain(signal: string): Promise<void> {
    if (draining) process.exit(1); // asked twice: at once. Workers see the end of their input and go too.
    draining = true;
    report.say(`\n${signal}: finishing ${server.pendingRequests} requests, taking no more`);
    admission.close();
    void server.stop();
    const until = performance.now() + config.limits.drainMsMax;
    while (server.pendingRequests > 0 && performance.now() < until) await Bun.sleep(DRAIN_POLL_MS);
    gateway.stop();
    await server.stop(true);
    await fleet.stop();
    media.stop();
    await ledger.close();
    await accounts.close();
    await store.close();
    requestLog.flush();
    await traffic.close();
    await traces.close();
    lock.release();
    process.exit(0);
  }
  for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => void drain(signal));
  // The same signal says that the terminal is gone. The launcher passes it on, so it may come twice.
  const onTerminal = hasTerminal();
  process.on("SIGHUP", () => {
    if (onTerminal && !hasTerminal() && !draining) void drain("SIGHUP");
  });

  await fleet.start();
  if (draining) return;
  const callable = fleet.states().find((status) => status.state === "warm");
  const model = config.models.find(({ id }) => id === callable?.id);
  if (fleet.ready()) report.ready(baseUrl, model);
  else report.say(`\nUp at ${baseUrl}, but not ready: a model that must be warm is not (see above, and /ready).`);
}

const DRAIN_POLL_MS = 20;

/** Whether there is a terminal whose closing should end this process. */
function hasTerminal(): boolean {
  try {
    closeSync(openSync("/dev/tty", "r"));
    return true;
  } catch {
    return false; // none, or none any more
  }
}

type Handle = ReturnType<typeof createGateway>["handle"];

function listen(config: Config, handle: Handle): Server<undefined> {
  try {
    const server: Server<undefined> = Bun.serve({
      hostname: config.host,
      port: config.port,
      // Cuts who connects and says nothing. Lifted for each call once its head is there: our own deadlines hold then.
      idleTimeout: IDLE_S,
      // Ours is lower and answers with an envelope; this one would answer with an empty page. What we do not read is not
      // taken from the wire either.
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
      fetch: (request) => handle(request, () => server.timeout(request, 0)),
    });
    return server;
  } catch (error) {
    throw describeListenError(error, config);
  }
}

const IDLE_S = 30;

function urlHost(host: string): string {
  if (host === "0.0.0.0" || host === "::") return "localhost";
  return host.includes(":") ? `[${host}]` : host;
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
