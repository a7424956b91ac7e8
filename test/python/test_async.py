"""The official Python client, asynchronous: the same walks, many at once, and hanging up in the middle."""

import asyncio
import json
import logging
import unittest

import openai
from openai import AsyncOpenAI

from test_chat import City, HELLO, MODEL, STRICT_WEATHER, TWO_CITIES

# unittest puts asyncio into its debug mode, which reports every slow step of a busy machine.
logging.getLogger("asyncio").setLevel(logging.ERROR)


class Async(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.client = AsyncOpenAI(max_retries=0)

    async def asyncTearDown(self):
        await self.client.close()

    async def create(self, **fields):
        return await self.client.chat.completions.create(**{"model": MODEL, "messages": HELLO, **fields})

    async def test_a_whole_answer(self):
        self.assertTrue((await self.create()).choices[0].message.content)

    async def test_thirty_two_streams_at_once(self):
        async def one(number):
            stream = await self.create(seed=number, stream=True)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

        texts = await asyncio.gather(*[one(number) for number in range(32)])
        self.assertTrue(all(texts))
        again = await asyncio.gather(*[one(number) for number in range(32)])
        self.assertEqual(texts, again)

    async def test_a_stream_that_is_left_in_the_middle(self):
        stream = await self.create(stream=True)
        async for _ in stream:
            break
        await stream.close()
        self.assertTrue((await self.create()).choices[0].message.content)

    async def test_tools_through_the_stream_helper(self):
        async with self.client.chat.completions.stream(model=MODEL, messages=TWO_CITIES, tools=[STRICT_WEATHER]) as stream:
            final = await stream.get_final_completion()
        calls = final.choices[0].message.tool_calls
        self.assertEqual({json.loads(call.function.arguments)["location"] for call in calls}, {"Paris", "Tokyo"})

    async def test_parse_into_a_pydantic_model(self):
        answer = await self.client.chat.completions.parse(model=MODEL, messages=HELLO, response_format=City)
        self.assertIsInstance(answer.choices[0].message.parsed, City)

    async def test_an_error(self):
        with self.assertRaises(openai.NotFoundError):
            await self.create(model="no-such-model")

    async def test_an_error_inside_a_stream(self):
        stream = await self.create(model="fault-midstream", stream=True)
        with self.assertRaises(openai.APIError):
            async for _ in stream:
                pass


if __name__ == "__main__":
    unittest.main()
