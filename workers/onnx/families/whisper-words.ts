// When each word was said: the heads whose attention follows the sound say which token belongs to which moment, and the
// cheapest way through that table, never back in time, says when one token ends and the next begins.
// Source: dynamic time warping (Sakoe and Chiba, 1978), over the attention weights as Whisper's authors published it.

import type { Tensor } from "onnxruntime-node";

/** A frame of what was heard lasts this long. */
const SECONDS_PER_FRAME = 0.02;
/** Frames over which a single outlier does not count. */
const MEDIAN = 7;

/**
 * @param attention by layer: heads × tokens × frames, of a pass over `tokens` tokens
 * @param from the first token that is text, `to` the one behind the last
 * @param frames of sound, out of those that were heard
 * @returns for each token from `from` to `to` (included) when it begins, in seconds
 */
export function timesOf(
  attention: readonly Tensor[],
  heads: readonly [number, number][],
  from: number,
  to: number,
  frames: number,
): number[] {
  const rows = attention[0]!.dims[2]!;
  const used = heads.filter(([layer, head]) => layer < attention.length && head < attention[layer]!.dims[1]!);
  const sum = new Float64Array((to - from + 1) * frames);
  for (const [layer, head] of used) {
    const { data, dims } = attention[layer]!;
    const width = dims[3]!;
    const table = standardised(data as Float32Array, head * rows * width, rows, width, frames);
    for (let row = from; row <= to; row++) {
      const smooth = medianOf(table.subarray(row * frames, (row + 1) * frames));
      for (let at = 0; at < frames; at++) sum[(row - from) * frames + at]! += smooth[at]! / used.length;
    }
  }
  return warp(sum, to - from + 1, frames).map((frame) => frame * SECONDS_PER_FRAME);
}

/** Each frame's weights over the tokens, moved to the mean 0 and the deviation 1. */
function standardised(data: Float32Array, start: number, rows: number, width: number, frames: number): Float64Array {
  const out = new Float64Array(rows * frames);
  for (let at = 0; at < frames; at++) {
    let sum = 0;
    let squares = 0;
    for (let row = 0; row < rows; row++) {
      const value = data[start + row * width + at]!;
      sum += value;
      squares += value * value;
    }
    const mean = sum / rows;
    const deviation = Math.sqrt(Math.max(1e-20, squares / rows - mean * mean));
    for (let row = 0; row < rows; row++) {
      out[row * frames + at] = (data[start + row * width + at]! - mean) / deviation;
    }
  }
  return out;
}

function medianOf(values: Float64Array): Float64Array {
  const half = (MEDIAN - 1) / 2;
  if (values.length <= half) return values;
  const mirror = (at: number) => (at < 0 ? -at : at >= values.length ? 2 * (values.length - 1) - at : at);
  return values.map((_, at) => {
    const near = Array.from({ length: MEDIAN }, (_, each) => values[mirror(at - half + each)]!);
    return near.sort((a, b) => a - b)[half]!;
  });
}

/** The way of the greatest sum through rows (tokens) and columns (frames). @returns the first frame of each row */
function warp(gains: Float64Array, rows: number, columns: number): number[] {
  const width = columns + 1;
  const cost = new Float64Array((rows + 1) * width).fill(Number.POSITIVE_INFINITY);
  const came = new Uint8Array((rows + 1) * width);
  cost[0] = 0;
  for (let row = 1; row <= rows; row++) {
    for (let column = 1; column <= columns; column++) {
      const options = [
        cost[(row - 1) * width + column - 1]!,
        cost[(row - 1) * width + column]!,
        cost[row * width + column - 1]!,
      ];
      const best = options[0]! < options[1]! && options[0]! < options[2]! ? 0 : options[1]! < options[2]! ? 1 : 2;
      cost[row * width + column] = options[best]! - gains[(row - 1) * columns + column - 1]!;
      came[row * width + column] = best;
    }
  }
  const first = new Array<number>(rows).fill(0);
  for (let row = rows, column = columns; row > 0 && column > 0; ) {
    first[row - 1] = column - 1;
    const step = came[row * width + column]!;
    if (step !== 2) row--;
    if (step !== 1) column--;
  }
  return first;
}
