"""The official Python client, synchronous, against the running server (OPENAI_BASE_URL, OPENAI_API_KEY)."""

import json
import re
import time
import unittest
from typing import List

import openai
from openai import OpenAI
from pydantic import BaseModel

MODEL = "llama-3.3-70b"
HELLO = [{"role": "user", "content": "Say hello in one sentence."}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather for a location",
        "parameters": {
            "type": "object",
            "properties": {"location": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}},
            "required": ["location"],
        },
    },
}
# The client's own helpers take strict tools only.
STRICT_WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"location": {"type": "string"}},
            "required": ["location"],
            "additionalProperties": False,
        },
    },
}
TWO_CITIES = [{"role": "user", "content": "What is the weather in Paris and in Tokyo? Use get_weather."}]


class City(BaseModel):
    name: str
    population: int
    districts: List[str]
    capital: bool


class Chat(unittest.TestCase):
    def setUp(self):
        self.client = OpenAI(max_retries=0)
        self.addCleanup(self.client.close)

    def create(self, **fields):
        return self.client.chat.completions.create(**{"model": MODEL, "messages": HELLO, **fields})

    def test_a_whole_answer(self):
        answer = self.create()
        self.assertEqual(answer.object, "chat.completion")
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertTrue(answer.choices[0].message.content)
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)
        self.assertRegex(answer._request_id, r"^req_[0-9a-f]{32}$")

    def test_a_stream_says_what_the_whole_answer_says(self):
        whole = self.create(seed=7, temperature=0).choices[0].message.content
        with self.create(seed=7, temperature=0, stream=True) as stream:
            chunks = list(stream)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        self.assertEqual(text, whole)
        self.assertEqual([c.choices[0].finish_reason for c in chunks][-1], "stop")
        self.assertGreater(len(chunks), 3)

    def test_usage_at_the_end_of_a_stream(self):
        with self.create(stream=True, stream_options={"include_usage": True}) as stream:
            chunks = list(stream)
        self.assertEqual(chunks[-1].choices, [])
        self.assertGreater(chunks[-1].usage.completion_tokens, 0)
        self.assertTrue(all(chunk.usage is None for chunk in chunks[:-1]))

    def test_the_stream_helper_accumulates(self):
        with self.client.chat.completions.stream(model=MODEL, messages=HELLO) as stream:
            text = "".join(event.delta for event in stream if event.type == "content.delta")
            final = stream.get_final_completion()
        self.assertEqual(final.choices[0].message.content, text)
        self.assertEqual(final.choices[0].message.role, "assistant")

    def test_a_tools_round_trip_with_two_parallel_calls(self):
        first = self.create(messages=TWO_CITIES, tools=[WEATHER])
        calls = first.choices[0].message.tool_calls
        self.assertEqual(first.choices[0].finish_reason, "tool_calls")
        self.assertEqual({json.loads(call.function.arguments)["location"] for call in calls}, {"Paris", "Tokyo"})
        self.assertEqual(len({call.id for call in calls}), 2)
        results = [
            {"role": "tool", "tool_call_id": call.id, "content": json.dumps({"temperature": 20 + at})}
            for at, call in enumerate(calls)
        ]
        final = self.create(messages=[*TWO_CITIES, first.choices[0].message, *results], tools=[WEATHER])
        self.assertEqual(final.choices[0].finish_reason, "stop")
        self.assertTrue(final.choices[0].message.content)

    def test_tools_through_the_stream_helper(self):
        with self.client.chat.completions.stream(model=MODEL, messages=TWO_CITIES, tools=[STRICT_WEATHER]) as stream:
            final = stream.get_final_completion()
        calls = final.choices[0].message.tool_calls
        self.assertEqual([call.function.name for call in calls], ["get_weather", "get_weather"])
        self.assertEqual({json.loads(call.function.arguments)["location"] for call in calls}, {"Paris", "Tokyo"})

    def test_tool_choice_and_parallel_tool_calls_are_obeyed(self):
        named = {"type": "function", "function": {"name": "get_weather"}}
        self.assertEqual(self.create(tools=[WEATHER], tool_choice=named).choices[0].finish_reason, "stop")
        self.assertTrue(self.create(tools=[WEATHER], tool_choice="required").choices[0].message.tool_calls)
        self.assertIsNone(self.create(messages=TWO_CITIES, tools=[WEATHER], tool_choice="none").choices[0].message.tool_calls)
        one = self.create(messages=TWO_CITIES, tools=[WEATHER], parallel_tool_calls=False)
        self.assertEqual(len(one.choices[0].message.tool_calls), 1)

    def test_parse_into_a_pydantic_model(self):
        answer = self.client.chat.completions.parse(model=MODEL, messages=HELLO, response_format=City)
        self.assertIsInstance(answer.choices[0].message.parsed, City)

    def test_json_object(self):
        messages = [{"role": "user", "content": "Answer in JSON."}]
        content = self.create(messages=messages, response_format={"type": "json_object"}).choices[0].message.content
        self.assertIsInstance(json.loads(content), dict)

    def test_several_choices_logprobs_and_limits(self):
        answer = self.create(n=3, logprobs=True, top_logprobs=2, max_completion_tokens=4)
        self.assertEqual([choice.index for choice in answer.choices], [0, 1, 2])
        for choice in answer.choices:
            self.assertEqual(choice.finish_reason, "length")
            self.assertEqual(len(choice.logprobs.content), 4)
            self.assertTrue(all(len(token.top_logprobs) == 2 for token in choice.logprobs.content))

    def test_completions(self):
        whole = self.client.completions.create(model=MODEL, prompt="Once upon a time", max_tokens=8, seed=1)
        with self.client.completions.create(
            model=MODEL, prompt="Once upon a time", max_tokens=8, seed=1, stream=True
        ) as stream:
            chunks = list(stream)
        self.assertEqual("".join(chunk.choices[0].text for chunk in chunks), whole.choices[0].text)
        self.assertEqual(chunks[-1].choices[0].finish_reason, whole.choices[0].finish_reason)

    def test_models(self):
        ids = [model.id for model in self.client.models.list()]
        self.assertIn(MODEL, ids)
        self.assertEqual(self.client.models.retrieve(MODEL).id, MODEL)


class Errors(unittest.TestCase):
    def client(self, **options):
        client = OpenAI(**{"max_retries": 0, **options})
        self.addCleanup(client.close)
        return client

    def fails(self, error, client=None, **fields):
        with self.assertRaises(error) as caught:
            (client or self.client()).chat.completions.create(**{"model": MODEL, "messages": HELLO, **fields})
        return caught.exception

    def test_401(self):
        error = self.fails(openai.AuthenticationError, self.client(api_key="sk-wrong"))
        self.assertEqual((error.status_code, error.code), (401, "invalid_api_key"))

    def test_400_names_the_field(self):
        error = self.fails(openai.BadRequestError, temperature=100)
        self.assertEqual((error.code, error.param), ("decimal_above_max_value", "temperature"))
        self.assertEqual(error.type, "invalid_request_error")

    def test_404(self):
        self.assertEqual(self.fails(openai.NotFoundError, model="no-such-model").code, "model_not_found")

    def test_a_context_overflow_has_its_code(self):
        self.assertEqual(self.fails(openai.BadRequestError, model="fault-context").code, "context_length_exceeded")

    def test_429_is_retried_after_the_wait_that_was_asked_for(self):
        started = time.monotonic()
        answer = self.client(max_retries=2).chat.completions.create(model="fault-429-once", messages=HELLO)
        self.assertTrue(answer.choices[0].message.content)
        self.assertGreaterEqual(time.monotonic() - started, 1.2)

    def test_429_that_stays(self):
        error = self.fails(openai.RateLimitError, model="fault-429")
        self.assertEqual(error.code, "rate_limit_exceeded")
        self.assertEqual(error.response.headers["retry-after"], "2")
        self.assertRegex(error.message, r"Please try again in [\d.]+s\.")

    def test_an_exhausted_quota_is_not_retried(self):
        started = time.monotonic()
        error = self.fails(openai.RateLimitError, self.client(max_retries=3), model="fault-quota")
        self.assertEqual(error.code, "insufficient_quota")
        self.assertLess(time.monotonic() - started, 0.4)

    def test_500_is_retried(self):
        answer = self.client(max_retries=1).chat.completions.create(model="fault-500-once", messages=HELLO)
        self.assertTrue(answer.choices[0].message.content)
        self.fails(openai.InternalServerError, model="fault-500")

    def test_an_error_inside_a_stream_is_raised(self):
        with self.assertRaises(openai.APIError) as caught:
            for _ in self.client().chat.completions.create(model="fault-midstream", messages=HELLO, stream=True):
                pass
        self.assertTrue(re.search("engine", str(caught.exception)))

    def test_a_time_out(self):
        self.fails(openai.APITimeoutError, self.client(timeout=0.3), model="fault-slow")


if __name__ == "__main__":
    unittest.main()
