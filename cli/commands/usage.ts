// `oxbow usage`: what was counted, in all or by account, key, model or day. Reads the home's ledger itself, whether or not a
// server runs, and never writes to it; `usage rebuild` holds its sums against its events.

import type { Command } from "commander";
import type { UsageFilter, UsageGroup, UsageOf, UsageTotals } from "../../server/ledger/ledger.ts";
import { CommandError, EXIT } from "../exit.ts";
import { type Common, type Env, HOME, homeOf, JSON_OUTPUT, withAccounts } from "../home.ts";
import { print, printJson, printTable, say } from "../output.ts";
import { withLimits } from "./accounts.ts";

type Ledger = typeof import("../../server/ledger/ledger.ts");

interface UsageOptions extends Common {
  today?: boolean;
  day?: string;
  month?: string;
  by?: string;
  account?: string;
  forecast?: boolean;
  csv?: boolean;
}

const GROUPS: readonly UsageGroup[] = ["account", "key", "model", "day"];

export function addUsage(program: Command, env: Env): void {
  const usage = program
    .command("usage")
    .description("show what was counted, today or in another period")
    .option(...HOME)
    .option("--today", "the UTC day that counts now (the default)")
    .option("--day <day>", "one UTC day, as 2026-11-21")
    .option("--month <month>", "one month, as 2026-11")
    .option("--by <what>", `a line for each ${GROUPS.join(", ")} (account)`)
    .option("--account <account>", "name or id: of this account alone")
    .option("--forecast", "what the period will have counted at its end, if it goes on like this")
    .option(...JSON_OUTPUT)
    .option("--csv", "print comma-separated values")
    .action((options: UsageOptions) => show(options, env));

  usage
    .command("rebuild")
    .description("make the sums again from the events, report where they differ, and repair them")
    .option(...HOME)
    .option(...JSON_OUTPUT)
    // `--home` and `--json` are also the parent's: whichever of the two was given.
    .action((_: unknown, command: Command) => rebuild(command.optsWithGlobals(), env));
}

async function show(options: UsageOptions, env: Env): Promise<void> {
  const ledger = await import("../../server/ledger/ledger.ts");
  const home = await homeOf(options, env);
  const by = groupOf(options.by);
  const now = Date.now();
  const usage = ledger.openUsage(home);
  const period = periodOf(options, usage?.lastDay() ?? null, ledger, now);
  const names = usage ? await namesIn(options, env) : NO_NAMES;
  const account = options.account === undefined ? undefined : names.idOf(options.account);
  const filter: UsageFilter = { accountId: account, from: period.from, to: period.to };
  const total = usage?.totals(filter) ?? NOTHING;
  const groups = usage?.groups(filter, by) ?? [];
  usage?.close();
  const ahead = (units: number) => (options.forecast ? ledger.forecast(units, boundsOf(period), now) : undefined);
  const rows = groups.map((group) => ({ ...group, label: names.labelOf(by, group.name), ahead: ahead(group.units) }));
  const lines = [...rows, { name: "", label: "total", ...total, ahead: ahead(total.units) }];
  const holds = account === undefined || !usage ? null : await holdsFor(account, options, env);
  if (options.json) printJson({ ...forPrograms(period, by, lines), ...(holds && { limits: holds.limits }) });
  else if (options.csv) printCsv(by, rows, options);
  else {
    say(period.from === period.to ? `UTC day ${period.from}` : `UTC days ${period.from} to ${period.to}`);
    if (holds) say(limitsText(holds));
    printTable(
      headingsOf(by, options),
      lines.map((line) => cellsOf(line).map((cell) => cell || "-")),
    );
  }
}

type Holds = Awaited<ReturnType<typeof withLimits>>;

function holdsFor(account: string, options: UsageOptions, env: Env): Promise<Holds> {
  return withAccounts(options, env, (accounts, catalogue) => withLimits(account, accounts, catalogue));
}

/** `acme has by pro@2026: requestsPerDay 1000, …`; what has no limit is left out. */
function limitsText({ row, limits }: Holds): string {
  const said = Object.entries(limits).flatMap(([name, value]) => (value === null ? [] : [`${name} ${value}`]));
  return `${row.name} has by ${row.plan}: ${said.join(", ") || "no limits"}`;
}

type Line = UsageOf & { label: string; ahead: number | null | undefined };

const NOTHING: UsageTotals = { requests: 0, units: 0, tokensIn: 0, tokensOut: 0 };

function headingsOf(by: UsageGroup, { forecast }: UsageOptions): string[] {
  const headings = [by.toUpperCase(), "REQUESTS", "UNITS", "TOKENS IN", "TOKENS OUT"];
  return forecast ? [...headings, "FORECAST"] : headings;
}

/** Empty for what is not known. */
function cellsOf({ label, requests, units, tokensIn, tokensOut, ahead }: Line): string[] {
  const cells = [label, ...[requests, units, tokensIn, tokensOut].map(String)];
  return ahead === undefined ? cells : [...cells, String(ahead ?? "")];
}

function forPrograms(period: Period, by: UsageGroup, lines: Line[]) {
  const sumsOf = ({ label: _, name: __, ahead, ...sums }: Line) =>
    ahead === undefined ? sums : { ...sums, forecast: ahead };
  const data = lines.slice(0, -1).map((line) => ({
    ...(by === "account" ? { accountId: line.name } : {}),
    [by]: line.label,
    ...sumsOf(line),
  }));
  return { ...period, data, total: sumsOf(lines.at(-1)!) };
}

function printCsv(by: UsageGroup, lines: Line[], { forecast }: UsageOptions): void {
  const headings = [by, "requests", "units", "tokens_in", "tokens_out", ...(forecast ? ["forecast"] : [])];
  const rows = [headings, ...lines.map(cellsOf)];
  print(rows.map((row) => row.map(csvField).join(",")).join("\r\n"));
}

/** RFC 4180, section 2. A name that a spreadsheet would take for a formula is kept from being one. */
function csvField(text: string): string {
  const safe = /^[=+@\t]|^-\D/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Both days belong to it. */
interface Period {
  from: string;
  to: string;
}

function periodOf(options: UsageOptions, lastDay: string | null, { dayOf, isDay }: Ledger, now: number): Period {
  const { today, day, month } = options;
  if ([today, day, month].filter((each) => each !== undefined).length > 1) {
    throw new CommandError("Give one of --today, --day and --month.", EXIT.usage);
  }
  if (month !== undefined) {
    if (!isDay(`${month}-01`)) throw new CommandError("A month must look like 2026-11.", EXIT.usage);
    const [year, number] = month.split("-").map(Number) as [number, number];
    return { from: `${month}-01`, to: dayOf(Date.UTC(year, number, 0)) };
  }
  if (day !== undefined && !isDay(day)) throw new CommandError("A day must look like 2026-11-21.", EXIT.usage);
  const utc = dayOf(now);
  // The ledger's day never goes back, even when the clock has.
  const on = day ?? (lastDay !== null && lastDay > utc ? lastDay : utc);
  return { from: on, to: on };
}

function boundsOf({ from, to }: Period): { from: number; until: number } {
  return { from: Date.parse(`${from}T00:00:00Z`), until: Date.parse(`${to}T00:00:00Z`) + 86_400_000 };
}

function groupOf(by: string | undefined): UsageGroup {
  const group = GROUPS.find((name) => name === (by ?? "account"));
  if (group) return group;
  throw new CommandError(`--by takes one of ${GROUPS.join(", ")}.`, EXIT.usage);
}

/** Ids are what the ledger knows; people know names. */
interface Names {
  idOf(account: string): string;
  labelOf(by: UsageGroup, id: string): string;
}

const NO_NAMES: Names = { idOf: (account) => account, labelOf: (_, id) => id };

async function namesIn(options: UsageOptions, env: Env): Promise<Names> {
  const [accounts, keys] = await withAccounts(options, env, (rooms) =>
    Promise.all([rooms.listAccounts(), rooms.listKeys()]),
  );
  const accountNames = new Map(accounts.map(({ id, name }) => [id, name]));
  const keyNames = new Map(keys.map(({ id, name }) => [id, name]));
  return {
    idOf(account) {
      const known = accounts.find(({ id, name }) => id === account || name === account);
      if (known) return known.id;
      throw new CommandError("There is no account with this name or id. `oxbow accounts list` shows them.");
    },
    labelOf(by, id) {
      if (id === "") return "corrections";
      if (by === "account") return accountNames.get(id) ?? id;
      return by === "key" && keyNames.has(id) ? `${id} (${keyNames.get(id)})` : id;
    },
  };
}

async function rebuild(options: Common, env: Env): Promise<void> {
  const { rebuildUsage } = await import("../../server/ledger/ledger.ts");
  const home = await homeOf(options, env);
  const differences = rebuildUsage(home);
  if (options.json) printJson(differences ?? []);
  else if (differences && differences.length > 0) {
    const rows = differences.map(({ day, where, stored, events }) => [day, where, String(stored), String(events)]);
    printTable(["DAY", "WHERE", "STORED", "EVENTS"], rows);
  }
  if (differences === null) say("There is no ledger in this home yet: no request was ever counted.");
  else if (differences.length === 0) say("The sums agree with the events.");
  else
    say(
      `${differences.length} differed and are repaired. A server that runs counts today by them after its next start.`,
    );
}
