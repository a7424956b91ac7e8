// What the commands about weights share: the room, made of what the environment and the catalogue say.

import type { Weights } from "../server/weights/weights.ts";
import type { Env } from "./home.ts";

export async function openWeights(env: Env, home: string | undefined): Promise<Weights> {
  const { loadConfig } = await import("../server/config.ts");
  const { createWeights } = await import("../server/weights/weights.ts");
  const { prepareHome } = await import("../server/store/store.ts");
  const config = loadConfig({ env, home });
  prepareHome(config.home);
  return createWeights({ home: config.home, env, models: config.models, stallMsMax: config.limits.pullStallMsMax });
}
