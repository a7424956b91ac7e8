"""Hears with the Python onnxruntime: {"folder", "sound", "mel", "language", "task", "prompt"} in; how far our log-mel (80 bands, raw floats in a file) is from that of transformers, the tokens of greedy decoding and their mean log-probability out."""

import json
import sys

import numpy
import onnxruntime
from transformers import WhisperFeatureExtractor

question = json.load(sys.stdin)
folder = question["folder"]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
providers = ["CPUExecutionProvider"]
encoder = onnxruntime.InferenceSession(f"{folder}/onnx/encoder_model.onnx", options, providers=providers)
decoder = onnxruntime.InferenceSession(f"{folder}/onnx/decoder_model_merged.onnx", options, providers=providers)
with open(f"{folder}/generation_config.json") as file:
    config = json.load(file)

sound = numpy.fromfile(question["sound"], numpy.float32)
extractor = WhisperFeatureExtractor(feature_size=question["bands"])
features = extractor(sound, sampling_rate=16000, return_tensors="np").input_features
ours = numpy.fromfile(question["mel"], numpy.float32).reshape(features.shape)
answer = {"apart": float(numpy.abs(features - ours).max())}

if question["bands"] == 80:
    (heard,) = encoder.run(None, {"input_features": features})
    sot, eot = config["decoder_start_token_id"], config["eos_token_id"]
    begin = config["no_timestamps_token_id"] + 1
    language = config["lang_to_id"][f"<|{question['language']}|>"]
    prompt = [config["prev_sot_token_id"], *question["prompt"]] if question["prompt"] else []
    start = [*prompt, sot, language, config["task_to_id"][question["task"]]]

    def score(tokens):
        """No cache: everything is computed anew in each step."""
        feeds = {"input_ids": numpy.array([tokens], numpy.int64), "encoder_hidden_states": heard}
        feeds["use_cache_branch"] = numpy.array([False])
        for each in decoder.get_inputs():
            if each.name.startswith("past_key_values"):
                feeds[each.name] = numpy.zeros((1, each.shape[1], 0, each.shape[3]), numpy.float32)
        names = [each.name for each in decoder.get_outputs()]
        return dict(zip(names, decoder.run(None, feeds)))["logits"][0].astype(numpy.float64)

    def log_softmax(scores):
        top = scores.max()
        return scores - top - numpy.log(numpy.exp(scores - top).sum())

    def restrict(scores, said):
        never = -numpy.inf
        scores[config["suppress_tokens"]] = never
        if not said:
            scores[config["begin_suppress_tokens"]] = never
        scores[eot + 1 : begin] = never
        if not said:
            scores[:begin] = never
            scores[begin + config["max_initial_timestamp_index"] + 1 :] = never
            return scores
        last_is_time = said[-1] >= begin
        other_is_time = len(said) < 2 or said[-2] >= begin
        if last_is_time and other_is_time:
            scores[begin:] = never
        elif last_is_time:
            scores[:eot] = never
        times = [token for token in said if token >= begin]
        if times:
            scores[begin : times[-1] + (0 if last_is_time and not other_is_time else 1)] = never
        sure = log_softmax(scores)
        if numpy.log(numpy.exp(sure[begin:]).sum()) > sure[:begin].max():
            scores[:begin] = never
        return scores

    said, total = [], 0.0
    while True:
        sure = log_softmax(restrict(score([*start, *said])[-1], said))
        token = int(sure.argmax())
        total += sure[token]
        if token == eot:
            break
        said.append(token)
        if len(said) >= 224:
            break
    languages = config["lang_to_id"]
    first = score([sot])[0]
    answer["tokens"] = said
    answer["average"] = total / (len(said) + 1)
    answer["language"] = max(languages, key=lambda name: first[languages[name]]).strip("<|>")

json.dump(answer, sys.stdout)
