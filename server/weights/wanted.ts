// What a name stands for: a repository of the hub, and which of its files are wanted. A model of the catalogue says it in its
// entry; of any other repository, what its files are.

import type { Model, Weights } from "../config.ts";
import { WeightsError } from "./errors.ts";
import type { HubFile } from "./hub.ts";

export type Format = Weights["format"];

/** Which weights are meant. */
export interface Target {
  /** `owner/name` */
  repository: string;
  revision: string;
  /** Null: as the files have it. */
  format: Format | null;
  /** A file, or a part of the names of the files of one quantisation: `Q4_K_M`. */
  file: string | null;
  /** Patterns of the files, where the catalogue has them. */
  include: readonly string[] | null;
  /** The model's id, when the catalogue has it. */
  model: string | null;
}

/**
 * @param name id or alias of the catalogue, or `owner/name` of the hub; `:` and a file, or a quantisation, may follow
 * @param format in place of the one that runs on this machine, when the catalogue has several
 * @throws WeightsError
 */
export function targetOf(name: string, models: readonly Model[], format?: Format): Target {
  const known = models.find((model) => model.id === name || model.aliases.includes(name));
  if (known) return targetOfModel(known, format);
  const [, before = name, file] = /^([^:]+):(.+)$/.exec(name) ?? [];
  const model = models.find((each) => each.id === before || each.aliases.includes(before));
  if (model && file !== undefined) return { ...targetOfModel(model, format), file, include: null };
  if (/^[A-Za-z0-9][\w.-]{0,95}\/[A-Za-z0-9_][\w.-]{0,95}$/.test(before) && !/\.\./.test(before)) {
    return {
      repository: before,
      revision: "main",
      format: format ?? null,
      file: file ?? null,
      include: null,
      model: null,
    };
  }
  const text = `'${name}' is no model of the catalogue (data/models.yaml), and no repository of the hub such as owner/name.`;
  throw new WeightsError("unknown", text);
}

/**
 * The weights that run on this machine come first (GGUF, then ONNX), where the catalogue has several.
 * @throws WeightsError when the catalogue has none on the hub, or none in this format
 */
export function targetOfModel(model: Model, format?: Format): Target {
  const { weights } = model;
  const refuse = (why: string) => new WeightsError("unknown", `The model \`${model.id}\` ${why}.`);
  if (weights === null) throw refuse("has no weights to download");
  const { gguf, onnx, revision = "main" } = weights;
  if (gguf && (format ?? "gguf") === "gguf") {
    const { hub: repository, file = null } = gguf;
    return { repository, revision: "main", format: "gguf", file, include: null, model: model.id };
  }
  if (onnx && (format ?? "onnx") === "onnx") {
    const { hub: repository, include = null } = onnx;
    return { repository, revision: "main", format: "onnx", file: null, include, model: model.id };
  }
  if (format !== undefined && format !== weights.format) throw refuse(`is not in the catalogue as ${format}`);
  if (weights.hub === undefined) throw refuse(`is not on the hub; its weights are at ${weights.url}`);
  const { hub: repository, file = null, include = null } = weights;
  return { repository, revision, format: weights.format, file, include, model: model.id };
}

/**
 * The files of the repository that are wanted, in the order of their names.
 * @throws WeightsError when there are none, or the name stands for several sets
 */
export function choose(target: Target, files: readonly HubFile[]): HubFile[] {
  const format = target.format ?? formatOf(files, target.file);
  const chosen =
    target.include !== null
      ? matching(files, target.include)
      : target.file !== null
        ? named(target, files)
        : format === "gguf"
          ? oneGguf(target, files)
          : byFormat(format, files);
  if (chosen.length > 0) return chosen.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  throw new WeightsError("unknown", `${target.repository} has no weights in the format ${format}.`);
}

function formatOf(files: readonly HubFile[], file: string | null): Format {
  if (file?.endsWith(".gguf")) return "gguf";
  const has = (ending: string) => files.some(({ path }) => path.endsWith(ending));
  if (has(".gguf")) return "gguf";
  if (has(".safetensors")) return "safetensors";
  return has(".onnx") ? "onnx" : "pytorch";
}

/** By its whole name, or as a quantisation: what stands between separators in the names of one set of files. */
function named({ file, repository }: Target, files: readonly HubFile[]): HubFile[] {
  const whole = files.filter(({ path }) => path === file);
  if (whole.length > 0) return partsOf(whole[0]!, files);
  const tag = file!.toLowerCase();
  const sets = ggufSets(files).filter(([first]) => tagsOf(first!.path).includes(tag));
  if (sets.length === 1) return sets[0]!;
  const text = sets.length === 0 ? `has no file '${file}'` : `has several files that '${file}' could mean`;
  throw new WeightsError("unknown", `${repository} ${text}. It has: ${namesOf(files)}.`);
}

/** What people take who do not say: the middle between size and loss. */
const QUANTISATIONS = ["q4_k_m", "q4_k_xl", "q4_0", "q8_0"];

function oneGguf({ repository }: Target, files: readonly HubFile[]): HubFile[] {
  const sets = ggufSets(files);
  if (sets.length === 1) return sets[0]!;
  for (const quantisation of QUANTISATIONS) {
    const found = sets.filter(([first]) => tagsOf(first!.path).includes(quantisation));
    if (found.length === 1) return found[0]!;
  }
  if (sets.length === 0) throw new WeightsError("unknown", `${repository} has no weights in the format gguf.`);
  const text = `${repository} has several sets of weights. Name one behind a colon: ${namesOf(files)}.`;
  throw new WeightsError("unknown", text);
}

/** Files that belong together: a large model comes in parts. What looks at images beside the model is no set. */
function ggufSets(files: readonly HubFile[]): HubFile[][] {
  const weights = files.filter(({ path }) => path.endsWith(".gguf") && !/mmproj|imatrix/i.test(path));
  return weights
    .filter(({ path }) => (PART.exec(path)?.[2] ?? "00001") === "00001")
    .map((file) => partsOf(file, weights));
}

const PART = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/;

/** @throws WeightsError when a part is missing */
function partsOf(file: HubFile, files: readonly HubFile[]): HubFile[] {
  const [, name, , count] = PART.exec(file.path) ?? [];
  if (name === undefined) return [file];
  const parts = files.filter(({ path }) => path.startsWith(`${name}-`) && PART.exec(path)?.[3] === count);
  if (parts.length === Number(count)) return parts;
  throw new WeightsError("unknown", `The hub has ${parts.length} of the ${Number(count)} parts of ${name}.`);
}

/** `dir/Model-7B.Q4_K_M-00001-of-00002.gguf`: model, 7b, q4_k_m, and the last two joined as some write it. */
function tagsOf(path: string): string[] {
  const stem = path
    .split("/")
    .at(-1)!
    .replace(PART, "$1.gguf")
    .replace(/\.gguf$/, "")
    .toLowerCase();
  const parts = stem.split(/[-.]/);
  return [...parts, ...parts.map((_, at) => parts.slice(at).join("-")), stem];
}

/** A snapshot that other programs can load: weights, settings, tokenizer; in subfolders only what belongs to no other format. */
function byFormat(format: Format, files: readonly HubFile[]): HubFile[] {
  const weights = files.filter(
    ({ path }) => WEIGHTS[format].test(path) && !/(^|\/)(original|metal|consolidated)/.test(path),
  );
  const all = weights.length > 0 ? weights : files.filter(({ path }) => WEIGHTS[format].test(path));
  if (all.length === 0) return [];
  const atTop = format !== "onnx" && all.some(({ path }) => !path.includes("/"));
  const here = atTop ? all.filter(({ path }) => !path.includes("/")) : all;
  const folders = new Set([
    "",
    ...here.map(({ path }) => folderOf(path)),
    ...(atTop ? [] : files.map(({ path }) => folderOf(path))),
  ]);
  const beside = files.filter(({ path }) => BESIDE.test(path) && folders.has(folderOf(path)));
  return [...new Set([...here, ...beside])];
}

const WEIGHTS: Record<Format, RegExp> = {
  safetensors: /\.safetensors$/,
  gguf: /\.gguf$/,
  onnx: /\.onnx(_data(_\d+)?|\.data)?$/,
  pytorch: /\.(bin|pt|pth)$/,
};
const BESIDE = /(\.(json|txt|model|jinja|tiktoken|py)|(^|\/)(LICENSE|LICENCE)[^/]*)$/;

function folderOf(path: string): string {
  return path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "";
}

function matching(files: readonly HubFile[], patterns: readonly string[]): HubFile[] {
  const globs = patterns.map((pattern) => new Bun.Glob(pattern));
  return files.filter(({ path }) => globs.some((glob) => glob.match(path)));
}

function namesOf(files: readonly HubFile[]): string {
  const names = ggufSets(files).map(([first]) => first!.path);
  const shown = names.slice(0, 20).join(", ");
  return names.length > 20 ? `${shown} and ${names.length - 20} more` : shown || "no GGUF files";
}
