import { expect, test } from "bun:test";
import { paint } from "./painting.ts";

const BASE = { subject: 7, width: 300, height: 200, detail: 1, quality: 90 };

test("a painting is the same each time, another subject another one, and a sketch coarser than the whole", async () => {
  const one = await paint({ ...BASE, format: "png" });
  expect(await paint({ ...BASE, format: "png" })).toBe(one);
  expect(await paint({ ...BASE, subject: 8, format: "png" })).not.toBe(one);
  const sketch = await paint({ ...BASE, detail: 0.25, format: "png" });
  expect(sketch.length).toBeLessThan(one.length);
});

test.each(["png", "jpeg", "webp"] as const)("as %s it has its size", async (format) => {
  const bytes = Buffer.from(await paint({ ...BASE, format }), "base64");
  const { width, height, format: found } = await new Bun.Image(bytes).metadata();
  expect([width, height, found]).toEqual([300, 200, format]);
});
