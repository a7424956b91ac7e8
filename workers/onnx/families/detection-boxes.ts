// The arithmetic around a YOLO: an image into the square that the model looks at, and its output into boxes of the image.
// Source: letterboxing, scaling back and non-maximum suppression as in ultralytics (utils/ops.py, data/augment.py) and
// WongKinYiu/yolov9 (utils/augmentations.py, utils/general.py), whose models are trained with it; read 2026-11-21.

/** Grey of the border, as in training. */
const BORDER = 114;
/** Candidates that are compared with each other; the weakest beyond are dropped, as in the originals. */
const CANDIDATES_MAX = 30_000;

/** How an image lies in the model's square. */
export interface Letterbox {
  /** Pixels of the square for one of the image. */
  gain: number;
  left: number;
  top: number;
  /** Of the image inside the square. */
  width: number;
  height: number;
}

export interface Found {
  classId: number;
  score: number;
  /** Left, top, right, bottom. */
  box: [number, number, number, number];
}

/** The largest size that fits, in the middle. Sides are rounded as Python rounds: a half goes to the even neighbour. */
export function letterboxOf(width: number, height: number, boxWidth: number, boxHeight: number): Letterbox {
  const gain = Math.min(boxWidth / width, boxHeight / height);
  const inner = { width: roundEven(width * gain), height: roundEven(height * gain) };
  // The border's odd pixel goes to the right and to the bottom.
  const left = roundEven((boxWidth - inner.width) / 2 - 0.1);
  const top = roundEven((boxHeight - inner.height) / 2 - 0.1);
  return { gain, left, top, ...inner };
}

function roundEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  // Plus nothing: a negative zero is no place.
  if (rest !== 0.5) return Math.round(value) + 0;
  return floor % 2 === 0 ? floor : floor + 1;
}

/**
 * The image in the square: planes of red, green and blue, 0 to 1. Each pixel is mixed of the four around the place that it
 * comes from, without looking further, as OpenCV's `INTER_LINEAR` does.
 *
 * @param pixels three bytes each, row by row
 */
export function fillSquare(
  pixels: Uint8Array,
  width: number,
  height: number,
  boxWidth: number,
  boxHeight: number,
  place: Letterbox,
): Float32Array {
  const size = boxWidth * boxHeight;
  const square = new Float32Array(3 * size).fill(BORDER / 255);
  const columns = spansOf(place.width, width);
  const rows = spansOf(place.height, height);
  for (let y = 0; y < place.height; y++) {
    const upper = rows.from[y]! * width;
    const lower = rows.to[y]! * width;
    const down = rows.share[y]!;
    let at = (y + place.top) * boxWidth + place.left;
    for (let x = 0; x < place.width; x++, at++) {
      const before = columns.from[x]!;
      const after = columns.to[x]!;
      const along = columns.share[x]!;
      for (let colour = 0; colour < 3; colour++) {
        const a = pixels[3 * (upper + before) + colour]!;
        const b = pixels[3 * (upper + after) + colour]!;
        const c = pixels[3 * (lower + before) + colour]!;
        const d = pixels[3 * (lower + after) + colour]!;
        const above = a + (b - a) * along;
        const below = c + (d - c) * along;
        square[colour * size + at] = Math.round(above + (below - above) * down) / 255;
      }
    }
  }
  return square;
}

/** For each place of a line of `to` pixels: the two of a line of `from` that it lies between, and how far towards the second. */
function spansOf(to: number, from: number) {
  const spans = { from: new Int32Array(to), to: new Int32Array(to), share: new Float64Array(to) };
  for (let at = 0; at < to; at++) {
    // Middles of pixels lie on middles of pixels.
    const exact = Math.min(Math.max(((at + 0.5) * from) / to - 0.5, 0), from - 1);
    spans.from[at] = Math.floor(exact);
    spans.to[at] = Math.min(spans.from[at]! + 1, from - 1);
    spans.share[at] = exact - spans.from[at]!;
  }
  return spans;
}

export interface Wanted {
  /** Least score. */
  threshold: number;
  /** Two boxes of a class that overlap by more than this share of both together are one object. */
  overlapMax: number;
  most: number;
  /** null: all. */
  classIds: readonly number[] | null;
}

/**
 * From rows of middles, sizes and a score for each class (`[4 + classes, places]`): for each place its best class, of those
 * that overlap the best alone.
 */
export function boxesOfRaw(values: ArrayLike<number>, classes: number, places: number, wanted: Wanted): Found[] {
  const candidates: Found[] = [];
  for (let at = 0; at < places; at++) {
    let best = 0;
    for (let each = 1; each < classes; each++) {
      if (values[(4 + each) * places + at]! > values[(4 + best) * places + at]!) best = each;
    }
    const score = values[(4 + best) * places + at]!;
    if (!isWanted(best, score, wanted)) continue;
    const [x, y, w, h] = [0, 1, 2, 3].map((row) => values[row * places + at]!) as [number, number, number, number];
    candidates.push({ classId: best, score, box: [x - w / 2, y - h / 2, x + w / 2, y + h / 2] });
  }
  candidates.sort((a, b) => b.score - a.score);
  return suppress(candidates.slice(0, CANDIDATES_MAX), wanted);
}

/** From rows of corners, score and class (`[rows, 6]`), which the model has sorted out by itself. */
export function boxesOfRows(values: ArrayLike<number>, rows: number, wanted: Wanted): Found[] {
  const found: Found[] = [];
  for (let at = 0; at < rows; at++) {
    const [left, top, right, bottom, score, classId] = Array.from({ length: 6 }, (_, each) => values[6 * at + each]!);
    if (!isWanted(classId!, score!, wanted)) continue;
    found.push({ classId: classId!, score: score!, box: [left!, top!, right!, bottom!] });
  }
  return found.sort((a, b) => b.score - a.score).slice(0, wanted.most);
}

function isWanted(classId: number, score: number, { threshold, classIds }: Wanted): boolean {
  return score >= threshold && (classIds === null || classIds.includes(classId));
}

/** @param sorted the best first */
function suppress(sorted: readonly Found[], { overlapMax, most }: Wanted): Found[] {
  const kept: Found[] = [];
  const ofClass = new Map<number, Found[]>();
  for (const candidate of sorted) {
    if (kept.length === most) break;
    const rivals = ofClass.get(candidate.classId) ?? [];
    if (rivals.some((rival) => overlap(rival.box, candidate.box) > overlapMax)) continue;
    kept.push(candidate);
    ofClass.set(candidate.classId, [...rivals, candidate]);
  }
  return kept;
}

/** What two boxes share, of what they cover together. */
export function overlap(a: Found["box"], b: Found["box"]): number {
  const width = Math.max(0, Math.min(a[2], b[2]) - Math.max(a[0], b[0]));
  const height = Math.max(0, Math.min(a[3], b[3]) - Math.max(a[1], b[1]));
  const shared = width * height;
  const covered = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared;
  return covered > 0 ? shared / covered : 0;
}

/** A box of the square as one of the image, cut off at its edges. */
export function boxInImage(box: Found["box"], { gain, left, top }: Letterbox, width: number, height: number) {
  const across = (value: number) => Math.min(Math.max((value - left) / gain, 0), width);
  const down = (value: number) => Math.min(Math.max((value - top) / gain, 0), height);
  return [across(box[0]), down(box[1]), across(box[2]), down(box[3])] as Found["box"];
}
