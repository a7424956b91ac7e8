// The one file that touches names node-llama-cpp keeps to itself. The library's public sequences schedule their own
// batches and reach about a third of the engine's speed on concurrent requests, so we take its loader and drive the native
// context under it. Its version is exact in package.json, and native.test.ts fails first when one of these names moves.

import type { LlamaContext, LlamaModel, Token } from "node-llama-cpp";

/** Settings of one sampler. Absent keys must be absent: the addon refuses `undefined`. */
export interface SamplerSettings {
  /** 0: always the most likely token. */
  temperature: number;
  topP?: number;
  seed?: number;
  frequencyPenalty?: number;
  presencePenalty?: number;
  /** How many of the latest tokens the penalties look at. */
  penaltyTokens?: number;
  /** Added to the logits of these tokens before everything else. */
  bias?: { tokens: Uint32Array; values: Float32Array };
  grammar?: Grammar | null;
}

/** A sampler with its own random state, penalties and grammar state: one per generated sequence. */
export interface Sampler {
  readonly addon: AddonSampler;
  /** Leaves logits as they are: reads log-probabilities. One each, for a sampler's scratch memory is not to be shared. */
  plain(): AddonSampler;
  /** Frees native memory now. The sampler must not be in use. */
  dispose(): void;
}

/** A compiled GBNF grammar; every sampler starts it anew. */
export interface Grammar {
  readonly addon: object;
}

/** Log-probability of one token, and the most likely ones in falling order, all from the model's own distribution. */
export interface Logprobs {
  chosen: number;
  top: { token: number; logprob: number }[];
}

/** What the file's vocabulary says about a token, as llama.cpp keeps it. */
export interface NativeVocabulary {
  size: number;
  /** `llama_vocab_type`: 1 SPM, 2 BPE, 3 WPM, 4 UGM, 5 RWKV. */
  type: number;
  bos: number | null;
  eos: number | null;
  /** Whether prompts begin with `bos`. */
  addsBos: boolean;
  /** The entry as stored, in the vocabulary's own spelling of bytes. */
  entry(token: number): string;
  /** Control tokens steer the model and are not text: `<|im_start|>`. */
  isControl(token: number): boolean;
  /** End of generation: of a turn or of the text. */
  isEnd(token: number): boolean;
  /** @param special whether the text of control tokens becomes those tokens */
  tokenize(text: string, special: boolean): Uint32Array;
  detokenize(tokens: ArrayLike<number>): string;
}

/** The context: its sequences' key-value memory, and one batch at a time. Nothing here may be called while it decodes. */
export interface NativeContext {
  /** Starts a batch for exactly `tokens` tokens. */
  startBatch(tokens: number): void;
  /**
   * Adds tokens of one sequence. Add sequences in ascending order: others are decoded one after the other.
   *
   * @param wanted indexes into `tokens`, ascending, after which logits are wanted
   * @returns for each of them, what `sample` takes
   */
  add(sequence: number, position: number, tokens: Uint32Array, wanted: Uint32Array): Uint32Array;
  /** Rejects when the engine cannot take the batch; then the sequences in it are in an unknown state. */
  decode(): Promise<void>;
  /** The next token, or -1 when nothing can follow. Advances the sampler's state. */
  sample(logits: number, sampler: Sampler): Promise<number>;
  /** Log-probabilities at a place of the last batch, before temperature, penalties, bias and grammar. */
  logprobs(logits: number, sampler: Sampler, token: number, top: number): Promise<Logprobs>;
  /** Forgets positions from `position` on. False when this kind of model cannot: then `clear` is the only way. */
  truncate(sequence: number, position: number): boolean;
  clear(sequence: number): void;
  /** Makes `target` hold what `source` holds. Costs a copy of a sequence's whole memory, used or not. */
  copy(target: number, source: number): Promise<void>;
}

interface AddonSampler {
  dispose(): void;
  applyConfig(config: Record<string, unknown>): void;
}

type LogitFilter = [tokens: number[], max: boolean, min: boolean, selected: boolean, top: number];

interface AddonContext {
  initBatch(size: number): void;
  addToBatch(sequence: number, position: number, tokens: Uint32Array, logitIndexes: Uint32Array): Uint32Array;
  decodeBatch(): Promise<void>;
  sampleToken(logits: number, sampler: AddonSampler): Promise<number>;
  sampleToken(
    logits: number,
    sampler: AddonSampler,
    probabilities: boolean,
    confidence: boolean,
    filter: LogitFilter,
    totalWeight: boolean,
  ): Promise<[number, unknown, unknown, number[], number]>;
  disposeSequence(sequence: number): void;
  removeTokenCellsFromSequence(sequence: number, start: number, end: number): boolean;
  getSequenceKvCacheMinPosition(sequence: number): number;
  copySequenceStateFromOtherSequence(target: number, source: number): Promise<number>;
}

interface AddonModel {
  tokenize(text: string, special: boolean): Uint32Array;
  detokenize(tokens: Uint32Array, special: boolean): string;
  getTokenString(token: number): string;
  getTokenAttributes(token: number): number;
  isEogToken(token: number): boolean;
  getVocabularyType(): number;
  tokenBos(): number;
  tokenEos(): number;
  shouldPrependBosToken(): boolean;
}

interface Bindings {
  AddonSampler: new (model: AddonModel) => AddonSampler;
  AddonGrammar: new (text: string, options: { addonExports: Bindings; rootRuleName: string }) => object;
  AddonGrammarEvaluationState: new (model: AddonModel, grammar: object) => object;
}

/** Everything the worker needs of a loaded model and its context. */
export interface Native {
  context: NativeContext;
  vocabulary: NativeVocabulary;
  createSampler(settings: SamplerSettings): Sampler;
  /** @throws Error when the text is not GBNF with a rule `root` */
  createGrammar(text: string): Grammar;
}

export function openNative(model: LlamaModel, context: LlamaContext): Native {
  const addonModel = (model as unknown as { _model: AddonModel })._model;
  const addonContext = (context as unknown as { _ctx: AddonContext })._ctx;
  const bindings = (model.llama as unknown as { _bindings: Bindings })._bindings;
  const missing = [
    ...absent("model._model", addonModel, MODEL_NAMES),
    ...absent("context._ctx", addonContext, CONTEXT_NAMES),
    ...absent("llama._bindings", bindings, BINDING_NAMES),
  ];
  if (missing.length > 0) throw new Error(`node-llama-cpp has changed inside: no ${missing.join(", ")}`);

  return {
    context: openContext(addonContext),
    vocabulary: openVocabulary(model, addonModel),
    createSampler: (settings) => openSampler(bindings, addonModel, settings),
    createGrammar: (text) => ({
      addon: new bindings.AddonGrammar(text, { addonExports: bindings, rootRuleName: "root" }),
    }),
  };
}

const MODEL_NAMES = [
  "tokenize",
  "detokenize",
  "getTokenString",
  "getTokenAttributes",
  "isEogToken",
  "getVocabularyType",
];
const CONTEXT_NAMES = [
  "initBatch",
  "addToBatch",
  "decodeBatch",
  "sampleToken",
  "disposeSequence",
  "removeTokenCellsFromSequence",
  "getSequenceKvCacheMinPosition",
  "copySequenceStateFromOtherSequence",
];
const BINDING_NAMES = ["AddonSampler", "AddonGrammar", "AddonGrammarEvaluationState"];

function absent(owner: string, object: object | undefined, names: string[]): string[] {
  if (!object) return [owner];
  const members = object as Record<string, unknown>;
  return names.filter((name) => typeof members[name] !== "function").map((name) => `${owner}.${name}`);
}

function openContext(addon: AddonContext): NativeContext {
  return {
    startBatch: (tokens) => addon.initBatch(tokens),
    add: (sequence, position, tokens, wanted) => addon.addToBatch(sequence, position, tokens, wanted),
    decode: () => addon.decodeBatch(),
    sample: (logits, sampler) => addon.sampleToken(logits, sampler.addon),

    async logprobs(logits, sampler, token, top) {
      // The addon reports logits as the sampler it is given leaves them, so a sampler that leaves them alone is asked.
      // The first entry is the highest logit: at least one must be asked for, the total weight is relative to it.
      const filter: LogitFilter = [[token], false, false, false, Math.max(1, top)];
      const [, , , pairs, weight] = await addon.sampleToken(logits, sampler.plain(), false, false, filter, true);
      const base = pairs[1]! + Math.log(weight);
      const logprobOf = (logit: number) => Math.min(0, logit - base);
      const found = Math.min(Math.max(1, top), pairs.length / 2 - 1);
      const tops = Array.from({ length: found }, (_, i) => ({
        token: pairs[2 * i]!,
        logprob: logprobOf(pairs[2 * i + 1]!),
      }));
      return { chosen: logprobOf(pairs.at(-1)!), top: tops.slice(0, top) };
    },

    truncate(sequence, position) {
      // With a sliding window the early positions are gone already, and what follows them would be computed wrongly.
      if (addon.getSequenceKvCacheMinPosition(sequence) !== 0) return false;
      return addon.removeTokenCellsFromSequence(sequence, position, -1);
    },
    clear: (sequence) => addon.disposeSequence(sequence),
    async copy(target, source) {
      await addon.copySequenceStateFromOtherSequence(target, source);
    },
  };
}

function openSampler(bindings: Bindings, model: AddonModel, settings: SamplerSettings): Sampler {
  const { temperature, topP, seed, frequencyPenalty = 0, presencePenalty = 0, bias, grammar } = settings;
  const config: Record<string, unknown> = { temperature };
  if (topP !== undefined) config.topP = topP;
  if (seed !== undefined) config.seed = seed;
  if (frequencyPenalty !== 0 || presencePenalty !== 0) {
    config.repeatPenaltyTokens = new Uint32Array(0);
    config.repeatPenaltyMaxTokens = settings.penaltyTokens ?? 64;
    config.repeatPenaltyFrequencyPenalty = frequencyPenalty;
    config.repeatPenaltyPresencePenalty = presencePenalty;
  }
  if (bias && bias.tokens.length > 0) {
    config.tokenBiasKeys = bias.tokens;
    config.tokenBiasValues = bias.values;
  }
  if (grammar) config.grammarEvaluationState = new bindings.AddonGrammarEvaluationState(model, grammar.addon);
  const addon = new bindings.AddonSampler(model);
  addon.applyConfig(config);
  let plain: AddonSampler | null = null;
  return {
    addon,
    plain() {
      if (plain === null) {
        plain = new bindings.AddonSampler(model);
        plain.applyConfig({ temperature: 0 });
      }
      return plain;
    },
    dispose() {
      addon.dispose();
      plain?.dispose();
    },
  };
}

/** `LLAMA_TOKEN_ATTR_CONTROL` of llama.h. */
const ATTRIBUTE_CONTROL = 1 << 3;

function openVocabulary(model: LlamaModel, addon: AddonModel): NativeVocabulary {
  const entries = model.fileInfo.metadata.tokenizer.ggml.tokens;
  const size = entries.length;
  const known = (token: number) => (token >= 0 && token < size ? token : null);
  return {
    size,
    type: addon.getVocabularyType(),
    bos: known(addon.tokenBos()),
    eos: known(addon.tokenEos()),
    addsBos: addon.shouldPrependBosToken(),
    entry: (token) => addon.getTokenString(token),
    isControl: (token) => (addon.getTokenAttributes(token) & ATTRIBUTE_CONTROL) !== 0,
    isEnd: (token) => addon.isEogToken(token as Token),
    tokenize: (text, special) => addon.tokenize(text, special),
    detokenize: (tokens) => addon.detokenize(Uint32Array.from(tokens), true),
  };
}
