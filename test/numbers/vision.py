"""A model that sees, in numpy from the two GGUF files alone: {"folder", "calls": [{"prompt", "images", "tokens"}]} in, the
text that the model says greedily out, up to the first token of which the runner-up is too close to tell.

Liu et al., LLaVA (2023): a transformer over patches, whose last layer but one is projected to the width of the language model,
and takes the place of a mark in the prompt.
"""

import base64
import io
import json
import struct
import sys

import numpy
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

question = json.load(sys.stdin)
MARK = "<__media__>"
# Half-precision tables and caches on the other side move logits by some thousandths.
MARGIN = 0.02


def read(path):
    """Metadata and tensors of a GGUF file of 32-bit floats."""
    with open(path, "rb") as file:
        data = file.read()
    at = 8

    def take(form):
        nonlocal at
        values = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return values[0] if len(values) == 1 else values

    def text():
        nonlocal at
        size = take("Q")
        at += size
        return data[at - size : at].decode()

    def value(kind):
        if kind == 8:
            return text()
        if kind == 9:
            inner, count = take("I"), take("Q")
            return [value(inner) for _ in range(count)]
        return take({4: "I", 5: "i", 6: "f", 7: "?"}[kind])

    tensors, count = take("Q"), take("Q")
    metadata = {}
    for _ in range(count):
        key = text()
        metadata[key] = value(take("I"))
    infos = []
    for _ in range(tensors):
        name = text()
        shape = [take("Q") for _ in range(take("I"))]
        kind, offset = take("I"), take("Q")
        assert kind == 0, f"{name} is no 32-bit float"
        infos.append((name, shape, offset))
    start = -(-at // 32) * 32
    found = {}
    for name, shape, offset in infos:
        size = int(numpy.prod(shape))
        found[name] = numpy.frombuffer(data, numpy.float32, size, start + offset).reshape(shape[::-1]).astype(numpy.float64)
    return metadata, found


meta, language = read(f"{question['folder']}/model.gguf")
clip, vision = read(f"{question['folder']}/mmproj.gguf")


def softmax(values):
    shifted = numpy.exp(values - values.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def gelu(values):
    return 0.5 * values * (1 + numpy.tanh(numpy.sqrt(2 / numpy.pi) * (values + 0.044715 * values**3)))


def see(url):
    """The vectors that stand for an image."""
    picture = Image.open(io.BytesIO(base64.b64decode(url.split(",", 1)[1]))).convert("RGB")
    side, patch = clip["clip.vision.image_size"], clip["clip.vision.patch_size"]
    assert picture.size == (side, side), "scaling is another question"
    pixels = numpy.asarray(picture, numpy.float64) / 255
    pixels = (pixels - clip["clip.vision.image_mean"]) / clip["clip.vision.image_std"]
    rows = side // patch
    patches = pixels.reshape(rows, patch, rows, patch, 3).transpose(0, 2, 4, 1, 3).reshape(rows * rows, -1)
    width = clip["clip.vision.embedding_length"]
    hidden = patches @ vision["v.patch_embd.weight"].reshape(width, -1).T
    hidden = hidden + vision["v.position_embd.weight"]

    def linear(name, values):
        return values @ vision[f"{name}.weight"].T + vision[f"{name}.bias"]

    def norm(name, values):
        centred = values - values.mean(axis=-1, keepdims=True)
        scaled = centred / numpy.sqrt((centred**2).mean(axis=-1, keepdims=True) + clip["clip.vision.attention.layer_norm_epsilon"])
        return scaled * vision[f"{name}.weight"] + vision[f"{name}.bias"]

    hidden = norm("v.pre_ln", hidden)
    heads = clip["clip.vision.attention.head_count"]
    # All layers but the last: its vectors are made to be compared with texts, not to be read.
    for block in range(clip["clip.vision.block_count"] - 1):
        part = f"v.blk.{block}."
        normed = norm(part + "ln1", hidden)
        split = lambda name: linear(part + name, normed).reshape(len(hidden), heads, -1).transpose(1, 0, 2)
        query, key, value = split("attn_q"), split("attn_k"), split("attn_v")
        weights = softmax(query @ key.transpose(0, 2, 1) / numpy.sqrt(query.shape[-1]))
        hidden = hidden + linear(part + "attn_out", (weights @ value).transpose(1, 0, 2).reshape(len(hidden), -1))
        hidden = hidden + linear(part + "ffn_down", gelu(linear(part + "ffn_up", norm(part + "ln2", hidden))))
    return linear("mm.2", gelu(linear("mm.0", hidden)))


tokens = meta["tokenizer.ggml.tokens"]
special = {token: index for index, (token, kind) in enumerate(zip(tokens, meta["tokenizer.ggml.token_type"])) if kind != 1}
bpe = models.BPE(
    {token: index for index, token in enumerate(tokens)}, [tuple(merge.split(" ")) for merge in meta["tokenizer.ggml.merges"]]
)
tokenizer = Tokenizer(bpe)
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
tokenizer.add_special_tokens(list(special))


def think(embedded):
    """Logits of the token behind a sequence of vectors."""
    heads = meta["llama.attention.head_count"]
    size = meta["llama.embedding_length"] // heads
    count = len(embedded)

    def norm(name, values):
        root = numpy.sqrt((values**2).mean(axis=-1, keepdims=True) + meta["llama.attention.layer_norm_rms_epsilon"])
        return values / root * language[name]

    angles = numpy.arange(count)[:, None] * meta["llama.rope.freq_base"] ** (-numpy.arange(0, size, 2) / size)
    cosine, sine = numpy.cos(angles), numpy.sin(angles)

    def turned(values):
        even, odd = values[..., ::2], values[..., 1::2]
        return numpy.stack([even * cosine - odd * sine, even * sine + odd * cosine], axis=-1).reshape(values.shape)

    mask = numpy.triu(numpy.full((count, count), -numpy.inf), 1)
    hidden = embedded
    for block in range(meta["llama.block_count"]):
        weight = lambda name: language[f"blk.{block}.{name}.weight"]
        normed = norm(f"blk.{block}.attn_norm.weight", hidden)
        split = lambda name: (normed @ weight(name).T).reshape(count, heads, size).transpose(1, 0, 2)
        query, key, value = turned(split("attn_q")), turned(split("attn_k")), split("attn_v")
        mixed = softmax(query @ key.transpose(0, 2, 1) / numpy.sqrt(size) + mask) @ value
        hidden = hidden + mixed.transpose(1, 0, 2).reshape(count, -1) @ weight("attn_output").T
        normed = norm(f"blk.{block}.ffn_norm.weight", hidden)
        gate = normed @ weight("ffn_gate").T
        hidden = hidden + (gate / (1 + numpy.exp(-gate)) * (normed @ weight("ffn_up").T)) @ weight("ffn_down").T
    return norm("output_norm.weight", hidden[-1:])[0] @ language["output.weight"].T


def answer(call):
    texts = call["prompt"].split(MARK)
    ids = [tokenizer.encode(text).ids for text in texts]
    parts = [language["token_embd.weight"][row] for row in ids]
    sequence = parts[0]
    for url, part in zip(call["images"], parts[1:]):
        sequence = numpy.concatenate([sequence, see(url), part])
    said = []
    certain = True
    for _ in range(call["tokens"]):
        logits = think(sequence)
        best, second = numpy.sort(logits)[::-1][:2]
        if best - second < MARGIN:
            certain = False
            break
        token = int(logits.argmax())
        said.append(token)
        sequence = numpy.concatenate([sequence, language["token_embd.weight"][[token]]])
    prompt = sum(len(row) for row in ids) + 16 * len(call["images"])
    return {"said": tokenizer.decode(said, skip_special_tokens=False), "count": len(said), "certain": certain, "prompt": prompt}


json.dump([answer(call) for call in question["calls"]], sys.stdout)
