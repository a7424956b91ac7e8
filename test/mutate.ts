// Files as damage and malice make them: a seeded number of bytes flipped, lengths that lie, pieces cut out, doubled or put
// in. The same seed makes the same file.

/** The pieces that readers of media look for, and those of which they never have enough. */
const PIECES = [
  [0x00],
  [0xff],
  [0xa3, 0x80], // a block of Matroska without bytes
  [0xec, 0x80], // a void
  [0x1f, 0x43, 0xb6, 0x75, 0x80], // a cluster without blocks
  [0x1f, 0x43, 0xb6, 0x75, 0xff], // and one without an end
  [0, 0, 0, 8, 0x66, 0x72, 0x65, 0x65], // boxes of MP4: an empty one,
  [0, 0, 0, 0, 0x6d, 0x6f, 0x6f, 0x66], // one up to the end of the file,
  [0, 0, 0, 1, 0x6d, 0x6f, 0x6f, 0x66], // one with a long length
  [0x4f, 0x67, 0x67, 0x53, 0, 0], // a page of Ogg
  [0xff, 0xfb, 0x10, 0xc4], // a frame of MP3
  [0xff, 0xf8, 0xc9, 0x08], // of FLAC
  [0xff, 0xf1, 0x50, 0x80, 0, 0x1f, 0xfc], // and one of ADTS that is 0 bytes long
  [0x49, 0x44, 0x33, 4, 0, 0, 0x7f, 0x7f, 0x7f, 0x7f], // an ID3 that is longer than any file
  [0x64, 0x61, 0x74, 0x61, 0xff, 0xff, 0xff, 0xff], // the data of a WAV
];

export function mutate(file: Uint8Array, seed: number): Buffer<ArrayBuffer> {
  const below = randomOf(seed);
  let bytes = Buffer.from(file);
  // Heads and tables decide most.
  const place = () => (below(10) < 6 ? below(Math.min(bytes.length, 600)) : below(bytes.length));
  for (let times = 1 + below(4); times > 0 && bytes.length > 8; times--)
    bytes = STEPS[below(STEPS.length)]!(bytes, place, below);
  return bytes;
}

type Below = (most: number) => number;
type Step = (bytes: Buffer<ArrayBuffer>, place: () => number, below: Below) => Buffer<ArrayBuffer>;

const STEPS: readonly Step[] = [
  (bytes, place, below) => {
    bytes[place()] = below(256);
    return bytes;
  },
  (bytes, place, below) => {
    bytes[place()] = [0, 1, 0x7f, 0x80, 0xff][below(5)]!;
    return bytes;
  },
  (bytes, place, below) => {
    bytes.writeUInt32BE(
      [0, 1, 7, 8, 0x7fff_ffff, 0xffff_ffff, below(2 ** 32)][below(7)]!,
      Math.min(place(), bytes.length - 4),
    );
    return bytes;
  },
  (bytes, place, below) => {
    bytes.writeUInt32LE(
      [0, 1, 0x7fff_ffff, 0xffff_ffff, below(65_536)][below(5)]!,
      Math.min(place(), bytes.length - 4),
    );
    return bytes;
  },
  (bytes, _place, below) => Buffer.from(bytes.subarray(0, below(bytes.length))),
  (bytes, place, below) => {
    const from = place();
    return Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + below(2_000))]);
  },
  (bytes, place, below) => {
    const from = place();
    const piece = bytes.subarray(from, from + below(3_000));
    return Buffer.concat([bytes.subarray(0, from), ...Array(1 + below(20)).fill(piece), bytes.subarray(from)]);
  },
  (bytes, place, below) => {
    const from = below(2) ? bytes.length : place();
    const piece = Buffer.from(PIECES[below(PIECES.length)]!);
    const put = Buffer.alloc(piece.length * (1 + below(below(3) ? 50 : 20_000)), piece);
    return Buffer.concat([bytes.subarray(0, from), put, bytes.subarray(from)]);
  },
  (bytes, place, below) => {
    const from = place();
    for (let at = from; at < Math.min(bytes.length, from + below(500)); at++) bytes[at] = below(256);
    return bytes;
  },
];

/** Whole numbers from 0, below a bound (mulberry32). */
function randomOf(seed: number): Below {
  let state = seed | 0;
  return (most) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * most);
  };
}
