"""Audio with the official Python client, against the simulator: every call, every format, whole and streamed."""

import io
import struct
import unittest

import openai


def tone(seconds, rate=16000):
    """A WAV of silence: sixteen bits, one channel."""
    count = int(seconds * rate)
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + 2 * count, b"WAVE", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16, b"data", 2 * count)
    return ("a.wav", io.BytesIO(head + bytes(2 * count)), "audio/wav")


class Audio(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = openai.OpenAI(max_retries=0)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()

    def hear(self, **more):
        return self.client.audio.transcriptions.create(model="whisper-medium", file=tone(5), **more)

    def test_transcription_in_each_format(self):
        text = "This is a simulated transcript."
        self.assertTrue(self.hear().text.startswith(text))
        self.assertTrue(self.hear(response_format="text").startswith(text))
        self.assertTrue(self.hear(response_format="srt").startswith("1\n00:00:00,000 --> "))
        self.assertTrue(self.hear(response_format="vtt").startswith("WEBVTT\n\n"))
        verbose = self.hear(response_format="verbose_json", timestamp_granularities=["word", "segment"], language="fr")
        self.assertEqual(verbose.language, "french")
        self.assertEqual(float(verbose.duration), 5.0)
        self.assertEqual(" ".join(word.word for word in verbose.words), verbose.text)
        self.assertEqual(verbose.segments[0].start, 0)

    def test_transcription_streamed(self):
        with self.hear(stream=True) as stream:
            events = list(stream)
        deltas = [event.delta for event in events if event.type == "transcript.text.delta"]
        self.assertGreater(len(deltas), 3)
        self.assertEqual(events[-1].type, "transcript.text.done")
        self.assertEqual("".join(deltas), events[-1].text)
        self.assertEqual(events[-1].usage.input_tokens, 250)

    def test_translation(self):
        answer = self.client.audio.translations.create(model="whisper-medium", file=tone(2))
        self.assertTrue(answer.text.startswith("This is"))

    def test_speech_in_each_format(self):
        starts = {"mp3": b"\xff", "opus": b"OggS", "aac": b"\xff", "flac": b"fLaC", "wav": b"RIFF", "pcm": b""}
        for name, start in starts.items():
            answer = self.client.audio.speech.create(
                model="kokoro-82m", voice="alloy", input="Hello.", response_format=name, speed=1.5
            )
            self.assertTrue(answer.content.startswith(start), name)
            self.assertGreater(len(answer.content), 500, name)

    def test_speech_streamed(self):
        speech = self.client.audio.speech.with_streaming_response
        with speech.create(model="kokoro-82m", voice="alloy", input="Hello. " * 40, response_format="pcm") as answer:
            self.assertEqual(answer.headers["content-type"], "audio/pcm")
            sizes = [len(piece) for piece in answer.iter_bytes()]
        self.assertGreater(len(sizes), 1)
        self.assertEqual(sum(sizes), 2 * round(280 * 0.06 * 24000))

    def test_refusals(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.client.audio.transcriptions.create(model="whisper-medium", file=("a.bin", b"junk"))
        self.assertEqual(caught.exception.code, "unsupported_value")
        with self.assertRaises(openai.BadRequestError) as caught:
            self.client.audio.speech.create(model="kokoro-82m", voice="alloy", input="a" * 4097)
        self.assertEqual(caught.exception.code, "string_too_long")


if __name__ == "__main__":
    unittest.main()
