import { describe, expect, test } from "bun:test";
import { ConfigError, type ConfigOptions, type Limits, loadConfig, loadPlace } from "../config.ts";
import { LIMITS, limitVariable } from "./limits.ts";

describe("the environment", () => {
  const load = (env: Record<string, string>, options: Partial<ConfigOptions> = {}) => loadConfig({ env, ...options });

  test("has defaults for everything", () => {
    expect(load({ HOME: "/home/ann" })).toMatchObject({
      host: "127.0.0.1",
      port: 8080,
      home: "/home/ann/.oxbow",
      simulate: false,
      logLevel: "info",
      bootstrapKey: undefined,
      pepper: undefined,
      limits: { bodyBytesMax: 33_554_432, queueWaitMsMax: 120_000, keepaliveMs: 10_000, drainMsMax: 30_000 },
    });
    expect(load({}).version).toMatch(/^\d+\.\d+\.\d+/);
  });

  test("is read, an empty variable being none, and the command line comes before it", () => {
    const env = { PORT: "0", HOST: "::1", OXBOW_HOME: "/srv/oxbow", OXBOW_LOG_LEVEL: "debug", OXBOW_DRAIN_MS_MAX: "0" };
    expect(load(env)).toMatchObject({
      port: 0,
      host: "::1",
      home: "/srv/oxbow",
      logLevel: "debug",
      limits: { drainMsMax: 0 },
    });
    expect(load(env, { port: 9000, host: "0.0.0.0", home: "/tmp/h" })).toMatchObject({
      port: 9000,
      host: "0.0.0.0",
      home: "/tmp/h",
    });
    expect(load({ PORT: "", OXBOW_SIMULATE: "", OXBOW_BOOTSTRAP_KEY: "" })).toMatchObject({
      port: 8080,
      bootstrapKey: undefined,
    });
    const key = "ox_live_0123456789abcdef";
    expect(load({ OXBOW_BOOTSTRAP_KEY: key, OXBOW_PEPPER: `${key}-2` })).toMatchObject({
      bootstrapKey: key,
      pepper: `${key}-2`,
    });
  });

  test.each<[Record<string, string>, string]>([
    [{ PORT: "abc" }, "PORT must be a whole number from 0 to 65535, but is 'abc'"],
    [{ PORT: "65536" }, "PORT must be a whole number from 0 to 65535, but is '65536'"],
    [{ PORT: "-1" }, "PORT must be a whole number from 0 to 65535, but is '-1'"],
    [{ PORT: "0x50" }, "PORT must be a whole number from 0 to 65535, but is '0x50'"],
    [{ PORT: "80.5" }, "PORT must be a whole number from 0 to 65535, but is '80.5'"],
    [
      { HOST: "a b" },
      "HOST must be an address or a host name of this machine, such as 127.0.0.1, ::1 or 0.0.0.0 for all, but is 'a b'. The port is set with PORT.",
    ],
    [{ OXBOW_SIMULATE: "yes" }, "OXBOW_SIMULATE must be 1 or 0, but is 'yes'"],
    [
      { OXBOW_LOG_LEVEL: "loud" },
      "OXBOW_LOG_LEVEL must be one of trace, debug, info, warn, error, fatal, silent, but is 'loud'",
    ],
    [{ OXBOW_QUEUE_DEPTH_MAX: "-5" }, "OXBOW_QUEUE_DEPTH_MAX must be a whole number from 0 to 1000000, but is '-5'"],
  ])("%j is refused in one line", (env, message) => {
    expect(() => load(env)).toThrow(new ConfigError(message));
  });

  test("a secret that does not fit is refused and never quoted", () => {
    for (const name of ["OXBOW_BOOTSTRAP_KEY", "OXBOW_PEPPER"]) {
      expect(() => load({ [name]: "swordfish 7" })).toThrow(
        new ConfigError(`${name} must be 20 to 256 printable ASCII characters without spaces`),
      );
    }
  });

  test("sets every limit, each within its bounds", () => {
    const most = Object.entries(LIMITS).map(([name, bounds]) => [name, bounds[2]] as const);
    const env = Object.fromEntries(most.map(([name, value]) => [limitVariable(name), String(value)]));
    expect(load(env).limits).toEqual(Object.fromEntries(most) as Limits);
    for (const [name, [otherwise, least, most]] of Object.entries(LIMITS)) {
      expect(least <= otherwise && otherwise <= most, name).toBe(true);
      const variable = limitVariable(name);
      expect(() => load({ [variable]: String(most + 1) })).toThrow(
        `${variable} must be a whole number from ${least} to`,
      );
    }
    expect(limitVariable("queueWaitMsMax")).toBe("OXBOW_QUEUE_WAIT_MS_MAX");
  });

  test("bounds the line of a model further than the table does, never less", () => {
    const shipped = load({}).queue;
    expect(shipped.map((each) => each.id)).toEqual(["dedicated", "highest", "high", "best_effort"]);
    expect(shipped.map((each) => each.waitMsMax)).toEqual([30_000, 30_000, 60_000, 120_000]);
    const tight = load({ OXBOW_QUEUE_DEPTH_MAX: "7", OXBOW_QUEUE_WAIT_MS_MAX: "40000" }).queue;
    expect(tight.map((each) => each.depthMax)).toEqual([7, 7, 7, 7]);
    expect(tight.map((each) => each.waitMsMax)).toEqual([30_000, 30_000, 40_000, 40_000]);
  });

  test("where the server is can be known while a table is broken", () => {
    const env = { OXBOW_HOME: "/srv/oxbow", OXBOW_DATA: "/nowhere", PORT: "1234" };
    expect(loadPlace({ env, port: 5 })).toEqual({ host: "127.0.0.1", port: 5, home: "/srv/oxbow", pepper: undefined });
    expect(() => loadPlace({ env: { HOST: "a b" } })).toThrow(ConfigError);
  });

  test("a port from the command line is checked as well", () => {
    expect(() => load({}, { port: 70_000 })).toThrow("the port must be a whole number from 0 to 65535, but is '70000'");
    expect(() => load({}, { port: Number.NaN })).toThrow("the port must be");
  });
});
