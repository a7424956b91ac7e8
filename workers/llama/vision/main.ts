// The worker that hosts one GGUF model that sees. A program of its own beside the one for text, because images need another
// library (docs/decisions/0007).

import { parseJsonObject } from "@oxbow/contract";
import { runWorker } from "@oxbow/worker";
import { chat, count, type SeeingHost } from "./chat.ts";
import { loadSeeing } from "./load.ts";
import { readSeeingOptions } from "./options.ts";
import { silenceNative } from "./quiet.ts";

const log = silenceNative();
const CHAT = "/v1/chat/completions";

runWorker({
  name: "vision",
  log,
  readOptions: readSeeingOptions,
  async load({ config, model, options }) {
    const { slots, threads } = config;
    const contextTokens = Math.min(model.contextTokens, options.contextTokens);
    const seeing = await loadSeeing({ file: model.file, slots, threads, ...options, contextTokens });
    const host: SeeingHost = { ...seeing, model, log };
    return {
      routes: { [CHAT]: async (request) => chat(parseJsonObject(await request.bytes()), request, host) },
      counts: { [CHAT]: (body) => count(body, host) },
      contextTokens: host.contextTokens,
    };
  },
});
