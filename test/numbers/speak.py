"""Speaks with the Python onnxruntime: {"folder", "voice", "ids", "speed", "into"} in; writes the samples as 32-bit floats."""

import json
import sys

import numpy
import onnxruntime

question = json.load(sys.stdin)
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
session = onnxruntime.InferenceSession(
    f"{question['folder']}/onnx/model.onnx", options, providers=["CPUExecutionProvider"]
)
styles = numpy.fromfile(f"{question['folder']}/voices/{question['voice']}.bin", numpy.float32).reshape(510, 1, 256)
ids = question["ids"]
(samples,) = session.run(
    None,
    {
        "input_ids": numpy.array([[0, *ids, 0]], numpy.int64),
        "style": styles[min(len(ids), 509)],
        "speed": numpy.array([question["speed"]], numpy.float32),
    },
)
samples[0].astype(numpy.float32).tofile(question["into"])
json.dump({"samples": samples.shape[1]}, sys.stdout)
