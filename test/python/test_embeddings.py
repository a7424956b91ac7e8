"""Embeddings with the official Python client: its own base64, floats, tokens, batches; and detection by its raw post."""

import math
import os
import unittest

import openai
from openai import OpenAI

MODEL = "bge-large"
IMAGE = os.environ["IMAGE_BASE64"]


class Embeddings(unittest.TestCase):
    def setUp(self):
        self.client = OpenAI(max_retries=0)
        self.addCleanup(self.client.close)

    def embed(self, text, **fields):
        return self.client.embeddings.create(model=MODEL, input=text, **fields)

    def test_what_the_client_asks_for_by_itself_and_floats_are_the_same(self):
        answer = self.embed("The quick brown fox")
        self.assertEqual((answer.object, answer.model, len(answer.data)), ("list", MODEL, 1))
        vector = answer.data[0].embedding
        self.assertEqual(len(vector), 1024)
        self.assertAlmostEqual(math.hypot(*vector), 1, 4)
        floats = self.embed("The quick brown fox", encoding_format="float").data[0].embedding
        for ours, theirs in zip(vector, floats):
            self.assertAlmostEqual(ours, theirs, 6)
        self.assertGreater(answer.usage.prompt_tokens, 0)
        self.assertEqual(answer.usage.prompt_tokens, answer.usage.total_tokens)

    def test_base64_is_a_text_when_it_is_asked_for(self):
        self.assertIsInstance(self.embed("fox", encoding_format="base64").data[0].embedding, str)

    def test_a_batch_keeps_its_order(self):
        texts = [f"text {at}" for at in range(300)]
        data = self.embed(texts).data
        self.assertEqual([each.index for each in data], list(range(300)))
        self.assertEqual(data[217].embedding, self.embed(texts[217]).data[0].embedding)

    def test_tokens_and_lists_of_tokens(self):
        data = self.embed([[70, 71], [72]]).data
        self.assertEqual(len(data), 2)
        self.assertEqual(self.embed([70, 71]).data[0].embedding, data[0].embedding)

    def test_what_cannot_be_embedded_is_refused(self):
        for fields, param in [
            ({"text": ""}, "input"),
            ({"text": []}, "input"),
            ({"text": ["fine", "word " * 2000]}, "input[1]"),
            ({"text": "fox", "dimensions": 17}, "dimensions"),
        ]:
            with self.assertRaises(openai.BadRequestError) as refused:
                self.embed(fields.pop("text"), **fields)
            self.assertEqual(refused.exception.param, param)

    def test_a_question_is_told_from_what_answers_it(self):
        query = self.embed("fox", extra_body={"input_type": "query"}).data[0].embedding
        passage = self.embed("fox", extra_body={"input_type": "passage"}).data[0].embedding
        self.assertNotEqual(query, passage)


class Detection(unittest.TestCase):
    def setUp(self):
        self.client = OpenAI(max_retries=0)
        self.addCleanup(self.client.close)

    def test_by_the_raw_post_of_the_client(self):
        body = {"model": "yolov11", "image": "data:image/png;base64," + IMAGE, "threshold": 0}
        answer = self.client.post("/images/detections", body=body, cast_to=object)
        self.assertEqual(answer["image"], {"width": 40, "height": 40})
        self.assertGreater(len(answer["data"]), 0)
        self.assertEqual(answer, {**answer, "object": "image.detections", "model": "yolov11"})

    def test_a_refusal_is_the_clients_own_error(self):
        with self.assertRaises(openai.BadRequestError) as refused:
            self.client.post("/images/detections", body={"model": "yolov9", "image": "????"}, cast_to=object)
        self.assertEqual(refused.exception.param, "image")
