"""Paints with the Python onnxruntime, tokenizers and numpy: {"folder", "calls"} in, the tokens and pixels of each call out.

The way from noise to image is written here by itself: noise from numpy's Mersenne Twister, the probability-flow equation in
double precision for Euler's method, and the rule of consistency models for LCM.
"""

import base64
import io
import json
import os
import sys

import numpy
import onnxruntime
from PIL import Image
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

question = json.load(sys.stdin)
folder = question["folder"]
scheduler = json.load(open(f"{folder}/scheduler/scheduler_config.json"))
large = os.path.exists(f"{folder}/text_encoder_2")
SCALING = json.load(open(f"{folder}/vae_decoder/config.json"))["scaling_factor"]


def session(part):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    # As the graph was written, without the rewriting that might be wrong in both.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(f"{folder}/{part}/model.onnx", options, providers=["CPUExecutionProvider"])


def run(graph, outputs, **feeds):
    types = {"tensor(int64)": numpy.int64, "tensor(int32)": numpy.int32, "tensor(float)": numpy.float32, "tensor(float16)": numpy.float16}
    return graph.run(outputs, {each.name: numpy.asarray(feeds[each.name]).astype(types[each.type]) for each in graph.get_inputs()})


def tokenizer(part):
    bpe = models.BPE.from_file(f"{folder}/{part}/vocab.json", f"{folder}/{part}/merges.txt", end_of_word_suffix="</w>", unk_token="<|endoftext|>")
    made = Tokenizer(bpe)
    made.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    words = Regex(r"""'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+""")
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(words, behavior="removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    pad = json.load(open(f"{folder}/{part}/tokenizer_config.json"))["pad_token"]

    def ids(text):
        found = made.encode(text).ids
        row = [made.token_to_id("<|startoftext|>"), *found, made.token_to_id("<|endoftext|>")]
        return row + [made.token_to_id(pad)] * (77 - len(row)), found

    return ids


def gaussian(seed):
    """Normal numbers in the order in which PyTorch draws them on a processor."""
    twister = numpy.random.RandomState(seed)._bit_generator

    def draw(count):
        uniform = (twister.random_raw(count) & 0xFFFFFF) / numpy.float64(1 << 24)
        if count % 16:
            tail = (twister.random_raw(16) & 0xFFFFFF) / numpy.float64(1 << 24)
            uniform[-16:] = tail
        values = numpy.empty(count)

        def block(at):
            first, second = uniform[at : at + 8], uniform[at + 8 : at + 16]
            radius = numpy.sqrt(-2 * numpy.log1p(-first))
            values[at : at + 8] = radius * numpy.cos(2 * numpy.pi * second)
            values[at + 8 : at + 16] = radius * numpy.sin(2 * numpy.pi * second)

        for at in range(0, count - 15, 16):
            block(at)
        if count % 16:
            block(count - 16)
        return values

    return draw


graphs = {part: session(part) for part in ["text_encoder", "unet", "vae_decoder", "vae_encoder"]}
if large:
    graphs["text_encoder_2"] = session("text_encoder_2")
tokenizers = [tokenizer("tokenizer")] + ([tokenizer("tokenizer_2")] if large else [])

count = scheduler["num_train_timesteps"]
betas = numpy.linspace(scheduler["beta_start"] ** 0.5, scheduler["beta_end"] ** 0.5, count) ** 2
alphas = numpy.cumprod(1 - betas)
velocity = scheduler["prediction_type"] == "v_prediction"
consistent = scheduler["_class_name"] == "LCMScheduler"
distilled = any(each.name == "timestep_cond" for each in graphs["unet"].get_inputs())


def timesteps_of(steps):
    if consistent:
        origin = numpy.arange(1, 51) * (count // 50) - 1
        return origin[::-1][numpy.floor(numpy.linspace(0, 50, num=steps, endpoint=False)).astype(int)]
    spacing = scheduler["timestep_spacing"]
    if spacing == "leading":
        return (numpy.arange(0, steps) * (count // steps)).round()[::-1] + scheduler["steps_offset"]
    if spacing == "trailing":
        return numpy.round(numpy.arange(count, 0, -count / steps)) - 1
    return numpy.linspace(0, count - 1, steps)[::-1]


def texts_of(call, both):
    prompts = ([call.get("negative_prompt", "")] if both else []) + [call["prompt"]]
    rows = [numpy.array([ids(text)[0] for text in prompts]) for ids in tokenizers]
    if not large:
        return run(graphs["text_encoder"], ["last_hidden_state"], input_ids=rows[0])[0], None
    (one,) = run(graphs["text_encoder"], ["hidden_states.1"], input_ids=rows[0])
    two, pooled = run(graphs["text_encoder_2"], ["hidden_states.1", "text_embeds"], input_ids=rows[1])
    hidden = numpy.concatenate([one, two], axis=-1)
    if both and not call.get("negative_prompt"):
        hidden[0], pooled[0] = 0, 0
    return hidden, pooled


def paint(call):
    width, height = (int(side) for side in call["size"].split("x"))
    guidance, steps = call["guidance_scale"], call["steps"]
    both = guidance > 1 and not distilled
    hidden, pooled = texts_of(call, both)
    timesteps = timesteps_of(steps)
    shape = (1, 4, height // 8, width // 8)
    draw = gaussian(call["seed"])
    noise = draw(int(numpy.prod(shape))).reshape(shape)
    sigmas = numpy.append(numpy.interp(timesteps, numpy.arange(count), numpy.sqrt((1 - alphas) / alphas)), 0)

    first, clean, painted = 0, None, None
    if "mask" in call:
        # Transparent is painted anew; of a latent pixel all, when any of it is.
        alpha = numpy.asarray(Image.open(io.BytesIO(base64.b64decode(call["mask"]))).convert("RGBA"))[:, :, 3]
        shown = alpha < 128
        painted = shown.reshape(height // 8, 8, width // 8, 8).any(axis=(1, 3))
    if "image" in call:
        picture = numpy.asarray(Image.open(io.BytesIO(base64.b64decode(call["image"]))).convert("RGB"), dtype=numpy.float64)
        sample = (picture / 127.5 - 1).transpose(2, 0, 1)[None]
        clean = run(graphs["vae_encoder"], None, sample=sample)[0][:, :4].astype(numpy.float64) * SCALING
        first = steps - int(steps * call.get("strength", 1))

    def ask(image, timestep):
        feeds = {"sample": numpy.repeat(image, 2 if both else 1, axis=0), "timestep": [timestep], "encoder_hidden_states": hidden}
        if large:
            feeds |= {"text_embeds": pooled, "time_ids": [[height, width, 0, 0, height, width]] * len(hidden)}
        if distilled:
            angles = (guidance - 1) * 1000 * numpy.exp(numpy.arange(16) * -(numpy.log(10000) / 15))
            feeds["timestep_cond"] = [numpy.concatenate([numpy.sin(angles), numpy.cos(angles)])]
        said = run(graphs["unet"], None, **feeds)[0].astype(numpy.float64)
        return said[:1] + guidance * (said[1:] - said[:1]) if both else said

    if consistent:
        at = lambda index: (numpy.sqrt(alphas[int(timesteps[index])]), numpy.sqrt(1 - alphas[int(timesteps[index])]))
        image = noise if clean is None else at(first)[0] * clean + at(first)[1] * noise
        for index in range(first, steps):
            kept, lost = at(index)
            guess = (image - lost * ask(image, timesteps[index])) / kept
            scaled = timesteps[index] * 10.0
            image = guess * scaled / numpy.sqrt(scaled**2 + 0.25) + image * 0.25 / (scaled**2 + 0.25)
            if index + 1 < steps:
                image = at(index + 1)[0] * image + at(index + 1)[1] * draw(noise.size).reshape(shape)
            if painted is not None:
                before = clean if index + 1 == steps else at(index + 1)[0] * clean + at(index + 1)[1] * noise
                image = numpy.where(painted, image, before)
    else:
        start = numpy.sqrt(sigmas[0] ** 2 + 1) if scheduler["timestep_spacing"] == "leading" else sigmas[0]
        image = noise * start if clean is None else clean + noise * sigmas[first]
        for index in range(first, steps):
            sigma = sigmas[index]
            said = ask(image / numpy.sqrt(sigma**2 + 1), timesteps[index])
            # The slope of the probability-flow equation: the noise itself, or what a velocity says of it.
            slope = said if not velocity else (said + sigma / numpy.sqrt(sigma**2 + 1) * image) / numpy.sqrt(sigma**2 + 1)
            image = image + slope * (sigmas[index + 1] - sigma)
            if painted is not None:
                image = numpy.where(painted, image, clean + sigmas[index + 1] * noise)

    (decoded,) = run(graphs["vae_decoder"], None, latent_sample=image / SCALING)
    pixels = numpy.clip(decoded[0].astype(numpy.float64).transpose(1, 2, 0) / 2 + 0.5, 0, 1) * 255
    if painted is not None:
        # What was not to be changed is what it was.
        pixels = numpy.where(shown[:, :, None], pixels, picture)
    return {"pixels": numpy.round(pixels).astype(int).flatten().tolist(), "tokens": len(tokenizers[0](call["prompt"])[1])}


json.dump([paint(call) for call in question["calls"]], sys.stdout)
