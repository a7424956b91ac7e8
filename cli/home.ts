// What the commands that work on a home share: its accounts, whether or not a server runs there.

import type { Accounts, Catalogue } from "../server/accounts/accounts.ts";
import { say } from "./output.ts";

export type Env = Record<string, string | undefined>;

/** Options of every such command. */
export interface Common {
  home?: string;
  json?: boolean;
}

/** Their flags, for `option(...HOME)`. */
export const HOME = ["--home <folder>", "the server's home (OXBOW_HOME, ~/.oxbow)"] as const;
export const JSON_OUTPUT = ["--json", "print JSON"] as const;

/** The folder that is meant. */
export async function homeOf({ home }: Pick<Common, "home">, env: Env): Promise<string> {
  const { loadPlace } = await import("../server/config.ts");
  return loadPlace({ env, home }).home;
}

/** Opens the accounts for `work`. The tables of data/ are only read when `work` needs them. */
export async function withAccounts<T>(
  options: Common,
  env: Env,
  work: (accounts: Accounts, catalogue: () => Catalogue) => Promise<T>,
): Promise<T> {
  const { loadConfig, loadPlace } = await import("../server/config.ts");
  const { openStore } = await import("../server/store/store.ts");
  const { createAccounts } = await import("../server/accounts/accounts.ts");
  const { runningPlans } = await import("./running.ts");
  const { home, pepper } = loadPlace({ env, home: options.home });
  const store = await openStore(home);
  /** An account must not get a plan that the running server does not have yet. */
  const readCatalogue = (): Catalogue => {
    const config = loadConfig({ env, keysElsewhere: true });
    const running = runningPlans(home);
    if (!running) return config;
    const [known, unknown] = [true, false].map((wanted) =>
      config.plans.filter(({ id, version }) => running.plans.includes(`${id}@${version}`) === wanted),
    );
    if (unknown!.length > 0) {
      const names = unknown!.map(({ id, version }) => `${id}@${version}`).join(", ");
      say(`The running server does not have ${names} yet: \`oxbow plans reload\` brings it what is in plans.yaml.`);
    }
    return { ...config, plans: known! };
  };
  let read: Catalogue | undefined;
  const catalogue = () => {
    read ??= readCatalogue();
    return read;
  };
  try {
    return await work(await createAccounts(store, { home, pepper, catalogue, now: Date.now }), catalogue);
  } finally {
    await store.close();
  }
}
