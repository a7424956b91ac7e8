"""Every call of every modality with the official Python client: models and files in, what each call came to out.

What comes out is for test/sdk/matrix.test.ts, which asks the same of the client for Node."""

import base64
import json
import sys
import warnings

import openai

# The older forms of a call are deprecated, and still in use.
warnings.simplefilter("ignore", DeprecationWarning)
question = json.load(sys.stdin)
models = question["models"]
recording = base64.b64decode(question["recording"])
icon, mask = (base64.b64decode(question[name]) for name in ("icon", "mask"))
data_url = "data:image/png;base64," + question["icon"]
client = openai.OpenAI(max_retries=0)
cells = {}


def cell(name):
    def run(ask):
        try:
            cells[name] = ask()
        except Exception as error:  # told, so that the test can say which one it was
            cells[name] = {"error": f"{type(error).__name__}: {error}"}

    return run


def base64_of(content):
    return base64.b64encode(content).decode()


# Embeddings

TEXTS = ["A fox jumps.", "Nobody listens."]
for name, text, fields in [
    ("embeddings by default", TEXTS, {}),
    ("embeddings as float", TEXTS, {"encoding_format": "float"}),
    ("embeddings cut", TEXTS, {"dimensions": 16}),
    ("embeddings of tokens", [[7, 8, 9], [10]], {}),
]:

    @cell(name)
    def _():
        answer = client.embeddings.create(model=models["text"], input=text, **fields)
        return {"vectors": [each.embedding for each in answer.data]}


# Images

PROMPT = {"prompt": "a lighthouse", "extra_body": {"seed": 5}}
ICON, MASK = ("icon.png", icon, "image/png"), ("mask.png", mask, "image/png")
images = {
    "generate": lambda **fields: client.images.generate(model=models["brush"], **PROMPT, **fields),
    "edit": lambda **fields: client.images.edit(model=models["brush"], image=ICON, mask=MASK, **PROMPT, **fields),
}
for call, ask in images.items():

    @cell(f"images.{call} by link")
    def _():
        return {"url": ask().data[0].url}

    @cell(f"images.{call} as base64")
    def _():
        return {"images": [each.b64_json for each in ask(response_format="b64_json", n=2, output_format="webp").data]}

    @cell(f"images.{call} streamed")
    def _():
        events = list(ask(stream=True, partial_images=1))
        return {"events": [event.type for event in events], "images": [event.b64_json for event in events]}


# Recordings

FORMATS = ["json", "text", "srt", "vtt", "verbose_json"]
file = ("speech.mp3", recording, "audio/mpeg")
hear = {
    "transcriptions": lambda **fields: client.audio.transcriptions.create(model=models["ear"], file=file, **fields),
    "translations": lambda **fields: client.audio.translations.create(model=models["ear"], file=file, **fields),
}
for call, ask in hear.items():
    for form in FORMATS:

        @cell(f"audio.{call} as {form}")
        def _():
            answer = ask(response_format=form)
            return {"text": answer if isinstance(answer, str) else answer.text}


@cell("audio.transcriptions with words")
def _():
    answer = hear["transcriptions"](response_format="verbose_json", timestamp_granularities=["word", "segment"])
    return {"text": " ".join(word.word for word in answer.words)}


@cell("audio.transcriptions streamed")
def _():
    with hear["transcriptions"](stream=True) as stream:
        events = list(stream)
    deltas = [event.delta for event in events if event.type == "transcript.text.delta"]
    return {"events": sorted({event.type for event in events}), "text": "".join(deltas)}


# Speech

say = {"model": models["mouth"], "voice": "heart", "input": "Hello. And one more sentence."}
for form in ["mp3", "opus", "aac", "flac", "wav", "pcm"]:

    @cell(f"audio.speech as {form}")
    def _():
        return {"sound": base64_of(client.audio.speech.create(response_format=form, **say).content)}

    @cell(f"audio.speech as {form}, streamed")
    def _():
        with client.audio.speech.with_streaming_response.create(response_format=form, **say) as answer:
            return {"sound": base64_of(b"".join(answer.iter_bytes()))}

    @cell(f"audio.speech as {form}, in events")
    def _():
        events = []
        with client.audio.speech.with_streaming_response.create(
            response_format=form, stream_format="sse", **say
        ) as answer:
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    events.append(json.loads(line[len("data: ") :]))
        sound = b"".join(base64.b64decode(event["audio"]) for event in events if "audio" in event)
        return {"events": sorted({event["type"] for event in events}), "sound": base64_of(sound)}


# Images in messages


def look(*urls, **fields):
    parts = [{"type": "image_url", "image_url": {"url": url, "detail": "low"}} for url in urls]
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, *parts]}]
    return client.chat.completions.create(
        model=models["eyes"], messages=messages, temperature=0, max_completion_tokens=8, **fields
    )


@cell("an image in a message by link")
def _():
    return {"text": look(question["link"]).choices[0].message.content}


@cell("an image in a message as base64")
def _():
    return {"text": look(data_url).choices[0].message.content}


@cell("images in a message, streamed")
def _():
    chunks = list(look(data_url, data_url, stream=True))
    return {"text": "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)}


client.close()
json.dump(cells, sys.stdout)
