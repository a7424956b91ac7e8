// What an operator says with the environment and the command line, checked. The command line comes first; an empty
// variable is the same as none.

import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { LIMITS, type Limits, limitVariable } from "./limits.ts";
import { ConfigError } from "./table.ts";

/** Where a server is, and what it keeps. */
export interface Place {
  host: string;
  /** 0: any free port. */
  port: number;
  /** Absolute path of the folder that holds what the server keeps. */
  home: string;
  /** What stored key hashes are salted with, when the operator keeps it outside of the home. */
  pepper: string | undefined;
}

export interface Settings extends Place {
  simulate: boolean;
  limits: Limits;
  /** Whether images by URL are fetched. */
  fetchUrls: boolean;
  /** Where callers reach this server, for links in answers: an origin; null: as they reached it. */
  publicUrl: string | null;
  /** Origins inside that may be fetched from all the same. */
  fetchAllow: string[];
  logLevel: LogLevel;
  /** A line for each request, while the level is not above `info`. */
  logRequests: boolean;
  /** The first API key, when the operator chose it. */
  bootstrapKey: string | undefined;
  metrics: MetricsSettings;
  traces: TracesSettings;
}

/** Where traces go. The names are OpenTelemetry's own. */
export interface TracesSettings {
  /** Base URL of a collector; undefined: none. */
  endpoint: string | undefined;
  headers: Record<string, string>;
  /** Share of the requests that bring no `traceparent`, 0 to 1. */
  ratio: number;
  service: string;
}

/** Who may read the metrics. */
export interface MetricsSettings {
  /** "key": a key of an admin account, or the token. "open": everybody who reaches the port. */
  access: (typeof METRICS_ACCESS)[number];
  /** Opens the metrics and nothing else. */
  token: string | undefined;
}
const METRICS_ACCESS = ["key", "open", "off"] as const;

export type LogLevel = (typeof LOG_LEVELS)[number];
const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

export interface PlaceOptions {
  /** The process's environment. */
  env: Environment;
  port?: number | undefined;
  host?: string | undefined;
  home?: string | undefined;
}
export interface SettingsOptions extends PlaceOptions {
  simulate?: boolean | undefined;
}
type Environment = Record<string, string | undefined>;

/**
 * The part that a broken table in data/ must not keep from anyone: keys can be revoked all the same.
 * @throws ConfigError that names the variable
 */
export function loadPlace({ env, ...options }: PlaceOptions): Place {
  return {
    host: hostOf(options.host || env.HOST || "127.0.0.1"),
    port: options.port === undefined ? whole(env, "PORT", 8080, 0, 65_535) : portOf(options.port),
    home: resolve(options.home || env.OXBOW_HOME || join(env.HOME || homedir(), ".oxbow")),
    pepper: secret(env, "OXBOW_PEPPER"),
  };
}

/** @throws ConfigError that names the variable */
export function loadSettings({ simulate, ...options }: SettingsOptions): Settings {
  const { env } = options;
  return {
    ...loadPlace(options),
    simulate: simulate ?? flag(env, "OXBOW_SIMULATE"),
    limits: limitsOf(env),
    fetchUrls: flag(env, "OXBOW_FETCH_URLS", true),
    fetchAllow: origins(env, "OXBOW_FETCH_ALLOW"),
    publicUrl: origin(env, "OXBOW_PUBLIC_URL"),
    logLevel: oneOf(env, "OXBOW_LOG_LEVEL", "info", LOG_LEVELS),
    logRequests: flag(env, "OXBOW_LOG_REQUESTS", true),
    bootstrapKey: secret(env, "OXBOW_BOOTSTRAP_KEY"),
    traces: tracesOf(env),
    metrics: {
      access: oneOf(env, "OXBOW_METRICS", "key", METRICS_ACCESS),
      token: secret(env, "OXBOW_METRICS_TOKEN"),
    },
  };
}

function hostOf(host: string): string {
  // As it stands in a URL.
  const bare = host.replace(/^\[(.*)\]$/, "$1");
  if (/^[A-Za-z0-9._:%-]{1,253}$/.test(bare)) return bare;
  const text = `HOST must be an address or a host name of this machine, such as 127.0.0.1, ::1 or 0.0.0.0 for all, but is '${host}'`;
  throw new ConfigError(`${text}. The port is set with PORT.`);
}

function whole(env: Environment, name: string, otherwise: number, least: number, most: number): number {
  const text = env[name] || String(otherwise);
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new ConfigError(`${name} must be a whole number from ${least} to ${most}, but is '${text}'`);
}

function portOf(port: number): number {
  return whole({ "the port": String(port) }, "the port", 0, 0, 65_535);
}

function flag(env: Environment, name: string, otherwise = false): boolean {
  const text = env[name] ?? "";
  if (text === "") return otherwise;
  if (["1", "true"].includes(text)) return true;
  if (["0", "false"].includes(text)) return false;
  throw new ConfigError(`${name} must be 1 or 0, but is '${text}'`);
}

function limitsOf(env: Environment): Limits {
  const read = Object.entries(LIMITS).map(([name, [otherwise, least, most]]) => [
    name,
    whole(env, limitVariable(name), otherwise, least, most),
  ]);
  return Object.fromEntries(read);
}

function origin(env: Environment, name: string): string | null {
  const found = origins(env, name);
  if (found.length > 1) throw new ConfigError(`${name} must be one origin, but is '${env[name]}'`);
  return found[0] ?? null;
}

/** Separated by commas: `http://images.local:8080,https://10.0.0.5`. */
function origins(env: Environment, name: string): string[] {
  const given = (env[name] ?? "").split(",").filter((each) => each.trim() !== "");
  return given.map((each) => {
    const text = each.trim();
    const url = URL.parse(text);
    if (url && /^https?:$/.test(url.protocol) && url.href === `${url.origin}/` && !text.endsWith("/"))
      return url.origin;
    throw new ConfigError(
      `${name} must be origins such as http://images.local:8080, separated by commas, but has '${text}'`,
    );
  });
}

function oneOf<T extends string>(env: Environment, name: string, otherwise: T, values: readonly T[]): T {
  const text = env[name] || otherwise;
  const value = values.find((each) => each === text);
  if (value) return value;
  throw new ConfigError(`${name} must be one of ${values.join(", ")}, but is '${text}'`);
}

function tracesOf(env: Environment): TracesSettings {
  const endpoint = env.OTEL_EXPORTER_OTLP_ENDPOINT || undefined;
  if (endpoint !== undefined && !(/^https?:/.test(endpoint) && URL.canParse(endpoint))) {
    throw new ConfigError(
      `OTEL_EXPORTER_OTLP_ENDPOINT must be a URL such as http://127.0.0.1:4318, but is '${endpoint}'`,
    );
  }
  const pairs = (env.OTEL_EXPORTER_OTLP_HEADERS ?? "").split(",").filter((pair) => pair.trim() !== "");
  const headers = pairs.map((pair) => {
    const at = pair.indexOf("=");
    const name = pair.slice(0, at).trim().toLowerCase();
    // The rest of the pair may be a secret.
    if (at < 1 || !/^[\w-]+$/.test(name)) {
      throw new ConfigError("OTEL_EXPORTER_OTLP_HEADERS must be pairs such as name=value,other=value");
    }
    return [name, decoded(pair.slice(at + 1).trim())];
  });
  const text = env.OTEL_TRACES_SAMPLER_ARG || "0.01";
  const ratio = /^\d*\.?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(ratio >= 0 && ratio <= 1)) {
    throw new ConfigError(`OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1, but is '${text}'`);
  }
  return { endpoint, headers: Object.fromEntries(headers), ratio, service: env.OTEL_SERVICE_NAME || "oxbow" };
}

/** As it stands when it is not encoded. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function secret(env: Environment, name: string): string | undefined {
  const value = env[name];
  if (value === undefined || value === "") return undefined;
  if (/^[\x21-\x7e]{20,256}$/.test(value)) return value;
  // A secret is never quoted.
  throw new ConfigError(`${name} must be 20 to 256 printable ASCII characters without spaces`);
}
