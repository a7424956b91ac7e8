import { describe, expect, test } from "bun:test";
import {
  boxesOfRaw,
  boxesOfRows,
  boxInImage,
  type Found,
  fillSquare,
  letterboxOf,
  overlap,
} from "./detection-boxes.ts";

const EVERYTHING = { threshold: 0, overlapMax: 0.5, most: 100, classIds: null };

describe("a letterbox", () => {
  test("is as large as it fits, in the middle, its odd pixel to the right and to the bottom", () => {
    expect(letterboxOf(640, 640, 640, 640)).toEqual({ gain: 1, left: 0, top: 0, width: 640, height: 640 });
    expect(letterboxOf(1280, 720, 640, 640)).toEqual({ gain: 0.5, left: 0, top: 140, width: 640, height: 360 });
    expect(letterboxOf(100, 200, 640, 640)).toMatchObject({ left: 160, width: 320, height: 640 });
    expect(letterboxOf(640, 427, 640, 640)).toMatchObject({ top: 106, height: 427 });
  });

  test("rounds a half to the even neighbour, as the originals do", () => {
    expect(letterboxOf(1280, 641, 640, 640).height).toBe(320);
    expect(letterboxOf(1280, 643, 640, 640).height).toBe(322);
  });

  test("is grey around an image that keeps its colours, in planes", () => {
    const place = letterboxOf(4, 2, 4, 4);
    const square = fillSquare(Uint8Array.from(Array(8).fill([255, 0, 51]).flat()), 4, 2, 4, 4, place);
    const plane = (index: number) => [...square.subarray(16 * index, 16 * index + 16)];
    const grey = Math.fround(114 / 255);
    const inside = (value: number) => [
      ...Array(4).fill(grey),
      ...Array(8).fill(Math.fround(value)),
      ...Array(4).fill(grey),
    ];
    expect([plane(0), plane(1), plane(2)]).toEqual([inside(1), inside(0), inside(0.2)]);
  });

  test("mixes neighbours where pixels fall between", () => {
    // Two columns, black and white, on four: the outer ones stay, the inner ones are a quarter of the way.
    const square = fillSquare(Uint8Array.of(0, 0, 0, 200, 200, 200), 2, 1, 4, 2, letterboxOf(2, 1, 4, 2));
    expect([...square.subarray(0, 4)].map((value) => Math.round(value * 255))).toEqual([0, 50, 150, 200]);
  });
});

describe("of what overlaps", () => {
  /** Candidates as a model gives them: all middles, then all sizes, then all scores. */
  const raw = (...rows: [x: number, y: number, w: number, h: number, ...scores: number[]][]) =>
    rows[0]!.flatMap((_, index) => rows.map((row) => row[index]!));

  test("the best of a class stays, and other classes stay beside it", () => {
    const values = raw(
      [50, 50, 20, 20, 0.6, 0.1],
      [51, 50, 20, 20, 0.9, 0],
      [50, 51, 20, 20, 0, 0.7],
      [90, 90, 4, 4, 0.3, 0],
    );
    const found = boxesOfRaw(values, 2, 4, EVERYTHING);
    expect(found.map(({ classId, score }) => [classId, score])).toEqual([
      [0, 0.9],
      [1, 0.7],
      [0, 0.3],
    ]);
    expect(found[0]!.box).toEqual([41, 40, 61, 60]);
  });

  test("what overlaps by just the share stays", () => {
    const values = raw([10, 10, 10, 10, 0.9], [10, 12.5, 10, 10, 0.8]); // they share 75 of 125
    expect(boxesOfRaw(values, 1, 2, { ...EVERYTHING, overlapMax: 0.6 })).toHaveLength(2);
    expect(boxesOfRaw(values, 1, 2, { ...EVERYTHING, overlapMax: 0.59 })).toHaveLength(1);
  });

  test("threshold, classes and number are obeyed, by the best class of each place", () => {
    const values = raw([10, 10, 4, 4, 0.9, 0.8], [30, 30, 4, 4, 0.1, 0.5], [50, 50, 4, 4, 0.2, 0.4]);
    const scores = (wanted: object) => boxesOfRaw(values, 2, 3, { ...EVERYTHING, ...wanted }).map(({ score }) => score);
    expect(scores({ threshold: 0.45 })).toEqual([0.9, 0.5]);
    expect(scores({ classIds: [1] })).toEqual([0.5, 0.4]);
    expect(scores({ most: 1 })).toEqual([0.9]);
  });
});

test("rows of the model's own are sorted and narrowed, and nothing else", () => {
  const rows = [0, 0, 9, 9, 0.2, 1, 0, 0, 9, 9, 0.8, 1, 5, 5, 6, 6, 0.5, 0];
  expect(boxesOfRows(rows, 3, EVERYTHING).map(({ score }) => score)).toEqual([0.8, 0.5, 0.2]);
  expect(boxesOfRows(rows, 3, { ...EVERYTHING, classIds: [0] })).toEqual([
    { classId: 0, score: 0.5, box: [5, 5, 6, 6] },
  ]);
});

test("a box of the square becomes one of the image, cut off at its edges", () => {
  const place = letterboxOf(1280, 720, 640, 640);
  const box: Found["box"] = [-5, 150, 320, 700];
  expect(boxInImage(box, place, 1280, 720)).toEqual([0, 20, 640, 720]);
  expect(overlap([0, 0, 0, 0], [0, 0, 0, 0])).toBe(0);
});
