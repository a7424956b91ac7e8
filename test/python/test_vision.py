"""Images in messages, with the official Python client: by URL, by base64, several at once, with detail."""

import os
import unittest

import openai
from openai import OpenAI

MODEL = "gemma-3-4b"
URL = os.environ["IMAGE_URL"]
DATA_URL = "data:image/png;base64," + os.environ["IMAGE_BASE64"]


def image(url, **fields):
    return {"type": "image_url", "image_url": {"url": url, **fields}}


class Vision(unittest.TestCase):
    def setUp(self):
        self.client = OpenAI(max_retries=0)
        self.addCleanup(self.client.close)

    def look(self, *parts, model=MODEL):
        messages = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, *parts]}]
        return self.client.chat.completions.create(model=model, messages=messages).choices[0].message.content

    def test_an_image_by_url_and_by_base64_is_the_same_image(self):
        self.assertIn("A PNG image of 40x40 pixels", self.look(image(URL)))
        self.assertEqual(self.look(image(URL)), self.look(image(DATA_URL)))

    def test_several_images_with_detail(self):
        said = self.look(image(URL, detail="low"), image(DATA_URL, detail="high"), image(DATA_URL, detail="auto"))
        self.assertEqual(said.count("40x40"), 3)

    def test_what_is_no_image_is_refused(self):
        for url, code in [
            ("data:image/png;base64,aGVsbG8=", "invalid_image_format"),
            ("http://169.254.169.254/latest/meta-data/", "invalid_image_url"),
            (URL + ".gone", "failed_to_download_image"),
        ]:
            with self.assertRaises(openai.BadRequestError) as caught:
                self.look(image(url))
            self.assertEqual(caught.exception.code, code)

    def test_a_model_that_cannot_see_names_one_that_can(self):
        with self.assertRaisesRegex(openai.BadRequestError, r"The model `[\w.-]+` does\."):
            self.look(image(URL), model="llama-3.3-70b")


if __name__ == "__main__":
    unittest.main()
