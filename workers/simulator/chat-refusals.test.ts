import { describe, expect, test } from "bun:test";
import { handler, refusal, send, textOf, user, whole } from "./testing.ts";

describe("attachments", () => {
  const png = Buffer.concat([
    Buffer.from("89504e470d0a1a0a0000000d49484452", "hex"),
    Buffer.from([0, 0, 2, 128, 0, 0, 1, 224]),
  ]);
  const image = (url: string) =>
    user([
      { type: "text", text: "Look" },
      { type: "image_url", image_url: { url } },
    ]);

  test("an image is described by its header, an address is not fetched", async () => {
    const data = `data:image/png;base64,${png.toString("base64")}`;
    expect(textOf(await whole({ messages: image(data) }))).toContain(
      "A PNG image of 640x480 pixels (24 bytes) was given.",
    );
    expect(textOf(await whole({ messages: image("https://example.com/a.png") }))).toContain("does not fetch addresses");
  });

  test("what is no base64 is refused, and so is an image for a model that cannot see", async () => {
    const param = "messages[0].content[1].image_url.url";
    expect(await refusal({ messages: image("data:image/png;base64,***") })).toEqual([400, "invalid_value", param]);
    expect(await refusal({ model: "small", messages: image("https://example.com/a.png") })).toEqual([
      400,
      "unsupported_value",
      param.replace("image_url.url", "type"),
    ]);
  });
});

describe("refusals", () => {
  test("unknown models, models of another kind, unknown paths and methods", async () => {
    expect(await refusal({ model: "nope" })).toEqual([404, "model_not_found", null]);
    expect(await refusal({ model: "vectors" })).toEqual([400, "unsupported_value", "model"]);
    expect(await refusal({ model: 5 })).toEqual([400, "invalid_type", "model"]);
    expect(await refusal({ web_search_options: {} })).toEqual([400, "unsupported_parameter", "web_search_options"]);
    expect((await send({}, {}, "/v1/moderations")).status).toBe(404);
    const wrong = await handler(new Request("http://worker/v1/chat/completions"));
    expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "POST"]);
  });

  test("the list of models holds those of the config and those that fail on purpose, not the aliases", async () => {
    const response = await handler(new Request("http://worker/v1/models"));
    const { data } = (await response.json()) as { data: { id: string }[] };
    const ids = data.map((each) => each.id);
    expect(ids).toContain("m");
    expect(ids).toContain("fault-429-once");
    expect(ids).not.toContain("m-alias");
  });
});
