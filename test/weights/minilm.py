"""all-MiniLM-L6-v2 by hand: its safetensors, numpy in 64 bits, and nothing of ours. {"folder", "texts"} in, vectors and tokens out."""

import json
import struct
import sys

import numpy
from tokenizers import Tokenizer

question = json.load(sys.stdin)
folder = question["folder"]
HEADS, LAYERS, EPSILON = 12, 6, 1e-12

tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
# The file says that texts are cut and padded to 128 tokens. Here they are what they are.
tokenizer.no_truncation()
tokenizer.no_padding()

with open(f"{folder}/model.safetensors", "rb") as file:
    (size,) = struct.unpack("<Q", file.read(8))
    table = json.loads(file.read(size))
    data = file.read()


def tensor(name):
    start, end = table[name]["data_offsets"]
    return numpy.frombuffer(data[start:end], dtype="<f4").reshape(table[name]["shape"]).astype(numpy.float64)


def dense(name, x):
    return x @ tensor(f"{name}.weight").T + tensor(f"{name}.bias")


def norm(name, x):
    centred = x - x.mean(axis=-1, keepdims=True)
    scaled = centred / numpy.sqrt((centred**2).mean(axis=-1, keepdims=True) + EPSILON)
    return scaled * tensor(f"{name}.LayerNorm.weight") + tensor(f"{name}.LayerNorm.bias")


def erf(x):
    """By the series of Abramowitz and Stegun 7.1.6, and 1 where that has long been reached."""
    bounded = numpy.clip(x, -6, 6)
    term = bounded.copy()
    total = bounded.copy()
    for step in range(1, 160):
        term = term * 2 * bounded**2 / (2 * step + 1)
        total = total + term
    return 2 / numpy.sqrt(numpy.pi) * numpy.exp(-(bounded**2)) * total


def gelu(x):
    return x * 0.5 * (1 + erf(x / numpy.sqrt(2)))


def attend(name, x):
    def heads(part):
        return dense(f"{name}.self.{part}", x).reshape(len(x), HEADS, -1).transpose(1, 0, 2)

    query, key, value = heads("query"), heads("key"), heads("value")
    scores = query @ key.transpose(0, 2, 1) / numpy.sqrt(query.shape[-1])
    shares = numpy.exp(scores - scores.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    return dense(f"{name}.output.dense", (shares @ value).transpose(1, 0, 2).reshape(len(x), -1))


def embed(text):
    ids = tokenizer.encode(text).ids
    x = (
        tensor("embeddings.word_embeddings.weight")[ids]
        + tensor("embeddings.position_embeddings.weight")[: len(ids)]
        + tensor("embeddings.token_type_embeddings.weight")[0]
    )
    x = norm("embeddings", x)
    for layer in range(LAYERS):
        name = f"encoder.layer.{layer}"
        x = norm(f"{name}.attention.output", x + attend(f"{name}.attention", x))
        x = norm(f"{name}.output", x + dense(f"{name}.output.dense", gelu(dense(f"{name}.intermediate.dense", x))))
    vector = x.mean(axis=0)
    return (vector / numpy.linalg.norm(vector)).tolist(), len(ids)


answers = [embed(text) for text in question["texts"]]
json.dump({"vectors": [vector for vector, _ in answers], "tokens": [count for _, count in answers]}, sys.stdout)
