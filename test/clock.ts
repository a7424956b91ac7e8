// Loaded before everything else into a server under test: moves its clock by TEST_CLOCK_SHIFT_MS. So a test of a day's quota has
// its noon, or its midnight, whenever it runs.

const shiftMs = Number(process.env.TEST_CLOCK_SHIFT_MS);
const RealDate = Date;

globalThis.Date = class extends RealDate {
  constructor(...given: [] | ConstructorParameters<typeof Date>) {
    if (given.length === 0) super(RealDate.now() + shiftMs);
    else super(...(given as [number]));
  }
  static override now(): number {
    return RealDate.now() + shiftMs;
  }
} as DateConstructor;
