// Files that pass every look at their header and are no models all the same: each ends as a model that has failed, with a
// reason, and never as one that is warm, or whose worker stays stuck for ever.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeGguf, type Gguf } from "../../models/tiny/gguf.ts";
import { randomModel } from "../../workers/llama/fixtures.ts";
import { loadConfig } from "../config.ts";
import { createFleet, type ModelStatus } from "./fleet.ts";
import { model } from "./test-fleet.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "damaged-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Fault {
  damage: (file: Gguf) => void;
  reason: RegExp;
  /** A worker that might do better the next time is given up after five lives (fleet.test.ts): here the first one counts. */
  state?: "loading";
}

const FAULTS: Record<string, Fault> = {
  "weights that are no numbers": {
    damage: ({ tensors }) => {
      const { bytes } = tensors.find(({ name }) => name === "output_norm.weight")!;
      new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4).fill(Number.NaN);
    },
    reason: /numbers that are none/,
    state: "loading",
  },
  "a feed-forward part of width one": {
    damage: ({ metadata }) => {
      metadata["llama.feed_forward_length"] = { u32: 1 };
    },
    reason: /cannot be loaded/,
  },
  "a chat template without end": {
    damage: ({ metadata }) => {
      const loops = ["a", "b", "c"].map((name) => `{% for ${name} in range(100000) %}`).join("");
      metadata["tokenizer.chat_template"] = `${loops}${"{% endfor %}".repeat(3)}x`;
    },
    reason: /^It said nothing for 60 s/,
    state: "loading",
  },
};

test.each(Object.keys(FAULTS))(
  "%s",
  async (name) => {
    const { damage, reason, state = "failed" } = FAULTS[name]!;
    const gguf = randomModel();
    damage(gguf);
    const file = join(folder, `${name.replaceAll(" ", "-")}.gguf`);
    writeFileSync(file, encodeGguf(gguf));
    const { kinds } = loadConfig({ env: {} });
    const fleet = createFleet({
      engines: [
        {
          id: "e",
          kind: "llama",
          models: [{ id: "m", file }],
          slots: 1,
          weight: 1,
          tags: [],
          threads: 1,
          pinned: true,
          options: {},
        },
      ],
      kinds,
      models: [model("m")],
      log: { info() {}, error() {} },
      env: { ...process.env, XDG_RUNTIME_DIR: folder },
      loadMsMax: 3_600_000,
      // A minute of silence in half a second.
      clock: { now: () => performance.now() * 120, sleep: (ms) => Bun.sleep(ms / 120) },
    });
    try {
      const ended = new Promise<ModelStatus>((resolve) => {
        fleet.onChange((status) => {
          const isSaid = status.state === "loading" && reason.test(status.reason ?? "");
          if (isSaid || status.state === "failed" || status.state === "warm") resolve(status);
        });
      });
      void fleet.start();
      const status = await ended;
      expect(status).toMatchObject({ state });
      expect(status.reason).toMatch(reason);
    } finally {
      await fleet.stop();
    }
  },
  60_000,
);
