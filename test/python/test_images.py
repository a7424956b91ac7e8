"""Images with the official Python client: by link, as base64, streamed; edits by form, with a mask."""

import base64
import os
import struct
import unittest
import urllib.request

import openai
from openai import OpenAI

MODEL = "stable-diffusion-v1.5"
ICON = base64.b64decode(os.environ["IMAGE_BASE64"])


def size_of(png):
    """Width and height in the head of a PNG."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n", png[:8]
    return struct.unpack(">II", png[16:24])


class Images(unittest.TestCase):
    def setUp(self):
        self.client = OpenAI(max_retries=0)
        self.addCleanup(self.client.close)

    def generate(self, **fields):
        return self.client.images.generate(model=MODEL, prompt="a lighthouse", **fields)

    def test_by_link(self):
        answer = self.generate()
        self.assertIsNone(answer.data[0].b64_json)
        with urllib.request.urlopen(answer.data[0].url) as image:
            self.assertEqual(image.headers["content-type"], "image/png")
            self.assertEqual(size_of(image.read()), (512, 512))

    def test_as_base64(self):
        answer = self.generate(response_format="b64_json", n=2, size="256x256")
        for image in answer.data:
            self.assertIsNone(image.url)
            self.assertEqual(size_of(base64.b64decode(image.b64_json)), (256, 256))
        self.assertEqual(answer.usage.output_tokens, 512)

    def test_streamed(self):
        events = list(self.generate(stream=True, partial_images=2))
        kinds = ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
        self.assertEqual([event.type for event in events], kinds)
        self.assertEqual(size_of(base64.b64decode(events[-1].b64_json)), (512, 512))

    def test_edits(self):
        image = ("icon.png", ICON, "image/png")
        answer = self.client.images.edit(
            model=MODEL, prompt="at night", image=image, mask=image, response_format="b64_json"
        )
        self.assertEqual(size_of(base64.b64decode(answer.data[0].b64_json)), (512, 512))
        several = self.client.images.edit(
            model="stable-diffusion-3.5-large", prompt="both", image=[image, image], stream=True
        )
        self.assertEqual([event.type for event in several], ["image_edit.completed"])

    def test_refusals(self):
        for fields, param in [({"size": "511x511"}, "size"), ({"n": 11}, "n"), ({"background": "transparent"}, "background")]:
            with self.assertRaises(openai.BadRequestError) as caught:
                self.generate(**fields)
            self.assertEqual(caught.exception.param, param)


if __name__ == "__main__":
    unittest.main()
