// A GGUF file of the Llama architecture: the metadata llama.cpp asks for and the list of tensors such a model has.
// Where the weights come from is the caller's affair.

import type { Vocabulary } from "./bpe.ts";
import type { Gguf, GgufTensor, GgufValue } from "./gguf.ts";

export interface LlamaShape {
  contextTokens: number;
  /** Width of the residual stream; a multiple of `heads`. */
  embedding: number;
  blocks: number;
  heads: number;
  feedForward: number;
  /** Pair i of a head of n dimensions turns by position · ropeBase^(−2i/n) radians. */
  ropeBase: number;
}

export interface LlamaModel {
  name: string;
  description?: string;
  shape: LlamaShape;
  vocabulary: Vocabulary;
  chatTemplate: string;
  /** Called once for each tensor, with its name in the file and its shape, innermost dimension first. */
  weights: (name: string, shape: number[]) => GgufTensor;
}

/** Root mean square epsilon of every norm. */
const NORM_EPSILON = 1e-5;

const TOKEN_TYPE = { normal: 1, control: 3, userDefined: 4 } as const;

/**
 * The whole file. The vocabulary must hold `<|endoftext|>` and `<|im_end|>`; specials in `<|…|>` are control tokens,
 * which are not shown, the others are text. No token is put before a prompt.
 */
export function llamaFile(model: LlamaModel): Gguf {
  const { embedding: width, blocks, feedForward } = model.shape;
  const size = model.vocabulary.tokens.length;
  const tensors = [
    model.weights("token_embd.weight", [width, size]),
    model.weights("output_norm.weight", [width]),
    model.weights("output.weight", [width, size]),
  ];
  for (let block = 0; block < blocks; block++)
    for (const [part, shape] of Object.entries({
      attn_norm: [width],
      attn_q: [width, width],
      attn_k: [width, width],
      attn_v: [width, width],
      attn_output: [width, width],
      ffn_norm: [width],
      ffn_gate: [width, feedForward],
      ffn_up: [width, feedForward],
      ffn_down: [feedForward, width],
    }))
      tensors.push(model.weights(`blk.${block}.${part}.weight`, shape));
  return { metadata: { ...architecture(model), ...tokenizer(model) }, tensors };
}

function architecture({ name, description, shape, vocabulary }: LlamaModel): Record<string, GgufValue> {
  return {
    "general.architecture": "llama",
    "general.name": name,
    ...(description ? { "general.description": description } : {}),
    "general.alignment": { u32: 32 },
    "llama.context_length": { u32: shape.contextTokens },
    "llama.embedding_length": { u32: shape.embedding },
    "llama.block_count": { u32: shape.blocks },
    "llama.feed_forward_length": { u32: shape.feedForward },
    "llama.attention.head_count": { u32: shape.heads },
    "llama.attention.head_count_kv": { u32: shape.heads },
    "llama.attention.layer_norm_rms_epsilon": { f32: NORM_EPSILON },
    "llama.rope.freq_base": { f32: shape.ropeBase },
    "llama.rope.dimension_count": { u32: shape.embedding / shape.heads },
    "llama.vocab_size": { u32: vocabulary.tokens.length },
  };
}

function tokenizer({ vocabulary, chatTemplate }: LlamaModel): Record<string, GgufValue> {
  const { tokens, merges } = vocabulary;
  const specials = new Set(vocabulary.specials);
  const typeOf = (token: string) => {
    if (!specials.has(token)) return TOKEN_TYPE.normal;
    return token.startsWith("<|") ? TOKEN_TYPE.control : TOKEN_TYPE.userDefined;
  };
  const endOfText = { u32: tokens.indexOf("<|endoftext|>") };
  const endOfTurn = { u32: tokens.indexOf("<|im_end|>") };
  return {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "gpt-2",
    "tokenizer.ggml.tokens": { strings: tokens },
    "tokenizer.ggml.token_type": { i32s: tokens.map(typeOf) },
    "tokenizer.ggml.merges": { strings: merges },
    "tokenizer.ggml.bos_token_id": endOfText,
    "tokenizer.ggml.eos_token_id": endOfTurn,
    "tokenizer.ggml.eot_token_id": endOfTurn,
    "tokenizer.ggml.padding_token_id": endOfText,
    "tokenizer.ggml.add_bos_token": false,
    "tokenizer.chat_template": chatTemplate,
  };
}
