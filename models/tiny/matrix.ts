// A matrix of weights while it is being written, rows contiguous as in the file.

export interface Matrix {
  readonly values: Float32Array;
  /** A view, not a copy. */
  row(index: number): Float32Array;
  set(row: number, column: number, value: number): void;
  /** Adds `factor` · `vector` to a row, from column `from` on. */
  addToRow(row: number, from: number, vector: Float32Array, factor: number): void;
  /** Adds `factor` · `vector` to a column, from row `from` on. */
  addToColumn(column: number, from: number, vector: Float32Array, factor: number): void;
  fill(value: number): void;
}

export function createMatrix(columns: number, rows: number): Matrix {
  const values = new Float32Array(columns * rows);
  return {
    values,
    row: (index) => values.subarray(index * columns, (index + 1) * columns),
    set: (row, column, value) => {
      values[row * columns + column] = value;
    },
    addToRow: (row, from, vector, factor) => {
      for (const [i, x] of vector.entries()) values[row * columns + from + i]! += factor * x;
    },
    addToColumn: (column, from, vector, factor) => {
      for (const [i, x] of vector.entries()) values[(from + i) * columns + column]! += factor * x;
    },
    fill: (value) => {
      values.fill(value);
    },
  };
}
