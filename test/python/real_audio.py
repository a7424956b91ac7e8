"""The official Python client against real models of audio: {"ear", "mouth", "voice", "file"} in, what came out."""

import json
import sys
import warnings

import openai

# The older forms of a call are deprecated, and still in use.
warnings.simplefilter("ignore", DeprecationWarning)
question = json.load(sys.stdin)
ear, mouth, path = question["ear"], question["mouth"], question["file"]
with openai.OpenAI(max_retries=0) as client:

    def hear(**more):
        with open(path, "rb") as file:
            return client.audio.transcriptions.create(model=ear, file=file, **more)

    with hear(stream=True) as stream:
        deltas = [event.delta for event in stream if event.type == "transcript.text.delta"]
    with open(path, "rb") as file:
        translation = client.audio.translations.create(model=ear, file=file).text
    verbose = hear(response_format="verbose_json", timestamp_granularities=["word"])
    formats = ["mp3", "opus", "aac", "flac", "wav", "pcm"]
    speech = client.audio.speech.with_streaming_response
    sizes = {}
    for name in formats:
        with speech.create(model=mouth, voice=question["voice"], input="Hello.", response_format=name) as answer:
            sizes[name] = sum(len(piece) for piece in answer.iter_bytes())
    answer = {
        "json": hear().text,
        "text": hear(response_format="text"),
        "srt": hear(response_format="srt"),
        "vtt": hear(response_format="vtt"),
        "words": [word.word for word in verbose.words],
        "deltas": deltas,
        "translation": translation,
        "sizes": sizes,
    }
json.dump(answer, sys.stdout)
