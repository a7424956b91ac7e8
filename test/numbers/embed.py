"""Embeds texts one by one with the Python onnxruntime and tokenizers: {"folder", "pooling", "texts"} in, vectors and tokens out."""

import json
import sys

import numpy
import onnxruntime
from tokenizers import Tokenizer

question = json.load(sys.stdin)
folder = question["folder"]
tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
# As the graph was written, without the rewriting that might be wrong in both.
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
session = onnxruntime.InferenceSession(f"{folder}/onnx/model.onnx", options, providers=["CPUExecutionProvider"])


def embed(text):
    encoding = tokenizer.encode(text)
    ids = numpy.array([encoding.ids], dtype=numpy.int64)
    feeds = {
        "input_ids": ids,
        "attention_mask": numpy.ones_like(ids),
        "token_type_ids": numpy.zeros_like(ids),
    }
    (hidden,) = session.run(["last_hidden_state"], feeds)
    tokens = hidden[0].astype(numpy.float64)
    vector = {"cls": lambda: tokens[0], "mean": lambda: tokens.mean(axis=0), "last": lambda: tokens[-1]}[
        question["pooling"]
    ]()
    return (vector / numpy.linalg.norm(vector)).tolist(), encoding.ids


answers = [embed(text) for text in question["texts"]]
json.dump({"vectors": [vector for vector, _ in answers], "tokens": [ids for _, ids in answers]}, sys.stdout)
