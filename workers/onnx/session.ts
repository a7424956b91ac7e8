// Opens a graph in onnxruntime, with the threads this worker may use. For the inference thread alone.

import { UnusableModel } from "@oxbow/worker";
import { InferenceSession, type Tensor } from "onnxruntime-node";

/**
 * @param path of the .onnx file; its external data, if any, is looked for beside it
 * @throws UnusableModel when onnxruntime cannot make sense of the file
 */
export async function openSession(path: string, threads: number): Promise<InferenceSession> {
  try {
    return await InferenceSession.create(path, {
      executionProviders: ["cpu"],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      // Its warnings are about graphs, not for operators.
      logSeverityLevel: 3,
    });
  } catch (cause) {
    const text = (cause as Error).message;
    // Too little memory now may be enough another time.
    if (/alloc|out of memory/i.test(text)) throw new Error("there was not enough memory to load it");
    throw new UnusableModel(`cannot be loaded: ${reasonIn(text, path)}`);
  }
}

/**
 * Numbers in half precision, for a graph that takes them so. On Bun (1.4.5) the binding finds nothing in a Float16Array, which a
 * Tensor would make of them; it reads the same bits from a Uint16Array. What comes out in half precision needs no such help.
 */
export function halfTensor(values: Float32Array, dims: number[]): Tensor {
  const data = new Uint16Array(Float16Array.from(values).buffer);
  return { type: "float16", data, dims, size: data.length, location: "cpu" } as unknown as Tensor;
}

/** What onnxruntime says, without the path and on one line. */
function reasonIn(text: string, path: string): string {
  const words = text.replaceAll(path, "the file").replace(/\s+/g, " ").trim();
  return words.slice(0, 300);
}
