"""Looks for objects with the Python onnxruntime and numpy: {"file", "images", "classes", "threshold", "overlap", "most", "wanted"} in, a list of boxes for each image out."""

import json
import sys

import numpy
import onnxruntime
from PIL import Image, ImageOps

question = json.load(sys.stdin)
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
session = onnxruntime.InferenceSession(question["file"], options, providers=["CPUExecutionProvider"])
(source,) = session.get_inputs()
_, _, HEIGHT, WIDTH = source.shape
HALF = numpy.float16


def letterbox(pixels):
    """The image as large as it fits, bilinear without looking further, on grey; and where it lies."""
    height, width = pixels.shape[:2]
    gain = min(HEIGHT / height, WIDTH / width)
    new_width, new_height = round(width * gain), round(height * gain)
    left = round((WIDTH - new_width) / 2 - 0.1)
    top = round((HEIGHT - new_height) / 2 - 0.1)
    x = numpy.clip((numpy.arange(new_width) + 0.5) * width / new_width - 0.5, 0, width - 1)
    y = numpy.clip((numpy.arange(new_height) + 0.5) * height / new_height - 0.5, 0, height - 1)
    x0, y0 = numpy.floor(x).astype(int), numpy.floor(y).astype(int)
    x1, y1 = numpy.minimum(x0 + 1, width - 1), numpy.minimum(y0 + 1, height - 1)
    fx, fy = (x - x0)[None, :, None], (y - y0)[:, None, None]
    source = pixels.astype(numpy.float64)
    upper = source[y0][:, x0] * (1 - fx) + source[y0][:, x1] * fx
    lower = source[y1][:, x0] * (1 - fx) + source[y1][:, x1] * fx
    square = numpy.full((HEIGHT, WIDTH, 3), 114.0)
    square[top : top + new_height, left : left + new_width] = numpy.floor(upper * (1 - fy) + lower * fy + 0.5)
    return square, gain, left, top


def intersection_over_union(box, others):
    low = numpy.maximum(box[:2], others[:, :2])
    high = numpy.minimum(box[2:], others[:, 2:])
    shared = numpy.prod(numpy.clip(high - low, 0, None), axis=1)
    area = numpy.prod(box[2:] - box[:2])
    return shared / (area + numpy.prod(others[:, 2:] - others[:, :2], axis=1) - shared)


def suppress(boxes, scores, labels):
    """Non-maximum suppression with each class moved to a plane of its own, as torchvision's batched form does it."""
    moved = boxes + (labels * 100_000.0)[:, None]
    order = numpy.argsort(-scores, kind="stable")
    keep = []
    while order.size > 0:
        best, rest = order[0], order[1:]
        keep.append(best)
        order = rest[intersection_over_union(moved[best], moved[rest]) <= question["overlap"]]
    return keep


def look(path):
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    pixels = numpy.asarray(image)
    height, width = pixels.shape[:2]
    square, gain, left, top = letterbox(pixels)
    tensor = (square / 255).transpose(2, 0, 1)[None].astype(HALF if source.type == "tensor(float16)" else numpy.float32)
    output = session.run(None, {source.name: tensor})[0][0].astype(numpy.float32)
    if output.shape[-1] == 6:
        boxes, scores, labels = output[:, :4], output[:, 4], output[:, 5].astype(int)
    else:
        middles, sizes = output[:2].T, output[2:4].T
        boxes = numpy.concatenate([middles - sizes / 2, middles + sizes / 2], axis=1)
        scores, labels = output[4:].max(axis=0), output[4:].argmax(axis=0)
    good = scores >= question["threshold"]
    if question["wanted"] is not None:
        good &= numpy.isin(labels, question["wanted"])
    boxes, scores, labels = boxes[good].astype(numpy.float64), scores[good], labels[good]
    if output.shape[-1] == 6:
        keep = numpy.argsort(-scores, kind="stable")
    else:
        keep = suppress(boxes, scores, labels)
    keep = keep[: question["most"]]
    boxes = (boxes[keep] - [left, top, left, top]) / gain
    boxes = numpy.clip(boxes, 0, [width, height, width, height])
    return {
        "width": width,
        "height": height,
        "found": [
            {"label": int(label), "score": float(score), "box": box.tolist()}
            for label, score, box in zip(labels[keep], scores[keep], boxes)
        ],
    }


json.dump([look(path) for path in question["images"]], sys.stdout)
