// What a row of each table of data/ is, once it is checked: the schemas beside the tables say the same.

import type {
  DetectionCard,
  DiffusionCard,
  EmbeddingCard,
  ErrorName,
  ImagesCard,
  SpeechCard,
  TranscriptionCard,
} from "@oxbow/contract";

/** What is done with calls besides answering them. */
export interface TrafficTable {
  splits: readonly {
    /** What callers ask for. */
    model: string;
    /** Calls with the same value are on the same side. */
    sticky: "account" | "user" | "prompt_cache_key";
    /** Another model, or the same one on some of its engines. */
    targets: readonly { model?: string; engine?: string; tag?: string; weight: number }[];
  }[];
  mirrors: readonly {
    model: string;
    /** Of its calls, above 0 and up to 1. */
    share: number;
    to: { model?: string; engine?: string; tag?: string };
    /** Mirrored calls at the same time. */
    callsMax: number;
  }[];
  record: {
    /** Ids. */
    accounts: readonly string[];
    bytesMax: number;
    daysMax: number;
  };
}

export interface Model {
  id: string;
  name: string;
  category: "chat" | "code" | "vision" | "embeddings" | "audio" | "images" | "detection";
  tier: string;
  /** How many requests of the day a call counts. */
  weight: number;
  parameters?: string;
  /** Prompt and answer together; null for models that read no text, or where nobody has published it. */
  contextTokens: number | null;
  /** What the weights were trained for: tools, vision, reasoning ... */
  capabilities: string[];
  /** Length of an embedding. */
  dimensions?: number;
  /** How texts become vectors: for the worker, which otherwise goes by the model's own files. */
  embedding?: EmbeddingCard;
  /** What a model sees that finds objects in images. */
  detection?: DetectionCard;
  diffusion?: DiffusionCard;
  /** What `detail` means to a model that sees: the longer side of an image, in pixels. */
  imageSides?: { low: number; high: number };
  /** What a model that paints can paint. */
  images?: ImagesCard;
  transcription?: TranscriptionCard;
  speech?: SpeechCard;
  aliases: string[];
  description?: string;
  ownedBy: string;
  /** When the weights were published, in Unix seconds; 0 where nobody says. */
  created: number;
  /** null: there are none to download. */
  weights: Weights | null;
  vllm?: VllmHints;
}

export interface Weights {
  /** Repository on the Hugging Face hub, `owner/name`. */
  hub?: string;
  /** Where they are when not on the hub. */
  url?: string;
  revision?: string;
  file?: string;
  /** Patterns of the files that are wanted. */
  include?: string[];
  format: "safetensors" | "gguf" | "onnx" | "pytorch";
  licence?: string;
  /** The hub asks for an account that has accepted the licence. Absent where we do not know. */
  gated?: boolean;
  bytes?: number;
  gguf?: { hub: string; file?: string; bytes?: number };
  onnx?: { hub: string; include?: string[]; bytes?: number };
}

/** How vLLM is started for a model. */
export interface VllmHints {
  /** The least memory of accelerators that a source states. */
  memoryBytes?: number;
  /** The first that can. */
  version?: string;
  /** The most accelerators its tensors can be split over. */
  tensorParallel?: number;
  args?: string[];
}

/** One plan in one version. */
export interface Plan extends Record<PlanLimit, number | null> {
  id: string;
  version: number;
  /** Whether new subscribers get this version. */
  sold: boolean;
  name: string;
  /** US cents a month. */
  priceCents: number | null;
  tiers: string[];
  priority: "best_effort" | "high" | "highest" | "dedicated";
  trialDays: number;
}

/** A number of a plan that a contract may replace; null: no limit, or by contract. */
export type PlanLimit =
  | "requestsPerDay"
  | "requestsPerMinute"
  | "inputTokensMax"
  | "outputTokensMax"
  | "audioSecondsMax"
  | "imagePixelsMax"
  | "speechCharactersMax"
  | "concurrencyMax";

/** Has either a worker or a remote server, never both. */
export interface EngineKind {
  /** Absolute path of the worker's program. */
  worker?: string;
  remote?: RemoteKind;
  /** What the kind carries of the wire: of the contract's FEATURES. */
  features: string[];
  /** Each model of such an engine names a file, or its weights were pulled. */
  loadsFiles: boolean;
  /** The format in which they are pulled; absent: models must name files. */
  format?: Weights["format"];
  simulated: boolean;
}

/** How servers of a kind are spoken to, and where they leave the wire. Paths stand at the server's root. */
export interface RemoteKind {
  /** Answers 200 when the server can take calls. */
  health: string;
  version?: { path: string; field: string };
  /** What its list of models adds to names that were given without; it answers to both. */
  impliedTag?: string;
  /** Names of Prometheus metrics: of each list the first that is there counts. */
  metrics?: { path: string; running: string[]; waiting?: string[]; kvUsage?: string[]; work?: string[] };
  priority?: PriorityRule;
  /** Where it takes an opaque name of the account. */
  tenant?: { field?: string; header?: string };
  sleep?: { down: string; up: string; state: string; field: string };
  /** Counts the tokens of a prompt without answering it. */
  count?: { path: string; field: string };
  /** Whether connections are used again. */
  keepAlive: boolean;
  /** When a stream tells its token counts. */
  usage: "always" | "asked";
  /** Fields of its own that a caller has no business to send. */
  privateFields: string[];
  /** Fields and roles of a call that it knows by another name. */
  rename: Record<string, string>;
  roles: Record<string, string>;
  /** Ways of choosing a tool that it obeys: see engines/tool-choice.ts. */
  toolChoices: string[];
  /** Names from the table in engines/call-repairs.ts. */
  callRepairs: string[];
  /** Names from the table of repairs in engines/repairs/repairs.ts. */
  repairs: string[];
  /** What its refusals mean: `text` is a regular expression, `as` a row of the error table. */
  refusals: { text: string; as: ErrorName }[];
}

/** How an engine is told whose call goes first: a number in a field of the body, or the class in a header field. */
export interface PriorityRule {
  field?: string;
  order?: "low_first" | "high_first";
  step: number;
  header?: string;
  prefix?: string;
}

export interface EngineEntry {
  id: string;
  kind: string;
  /** Base URL of a server that runs elsewhere, with /v1 at its end. Kinds with a worker have none. */
  url?: string;
  /** "all": every model that no other engine names. Files are absolute paths; `name` is what its server calls it. */
  models: { id: string; name?: string; file?: string }[] | "all";
  slots: number;
  /** Its share of the calls beside other engines of the same model. */
  weight: number;
  tags: string[];
  /** The environment variable with the API key that its server asks for. */
  apiKeyEnv?: string;
  /** Ids of the accounts that it serves alone. */
  accounts?: string[];
  /** Takes no new calls. */
  drain?: boolean;
  threads?: number;
  pinned: boolean;
  /** Memory that it takes, in bytes; by default what its weights and slots let expect. */
  memoryBytes?: number;
  /** The memory that its server shares with others: a name of `pools`. */
  pool?: string;
  options: Record<string, unknown>;
  when?: "simulate";
}

/** A class of callers in the line of a model. */
export interface QueueClass {
  id: string;
  /** The share of all that goes, 0 to 0.2, which the class gets while it waits. */
  floor: number;
  /** Calls that may wait. */
  depthMax: number;
  /** How long each may wait. */
  waitMsMax: number;
}
