import { expect, test } from "bun:test";
import type { FirstAnswer } from "./copy.ts";
import { createMirrorLine, type Mirror, type SecondAnswer, type SendSecond } from "./mirror.ts";
import { type MirrorRow, mirrorReport } from "./mirror-report.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const answer = (content: string, finish = "stop") =>
  encode(JSON.stringify({ choices: [{ index: 0, message: { content }, finish_reason: finish }] }));
const CALL = { model: "m", served: "m", accountId: "a", path: "/v1/chat/completions", body: encode("{}") };
const MIRROR: Mirror = { model: "m", share: 1, to: { model: "n" }, callsMax: 2 };
const RECORD = {
  model: "m",
  side: "",
  engine: "e",
  status: 200,
  code: "",
  outcome: "complete",
  stream: false,
  durationMs: 12,
  waitedMs: 0,
  firstTokenMs: null,
  tokensIn: 3,
  tokensOut: 4,
};
const first = (content: string): FirstAnswer => ({ record: RECORD, bytes: answer(content), cut: false });
const second = (content: string, more: Partial<SecondAnswer> = {}): SecondAnswer => ({
  engine: "f",
  status: 200,
  code: "",
  bytes: answer(content),
  cut: false,
  tokensIn: 3,
  tokensOut: 5,
  ...more,
});

/** A line whose second answers come when the test says so. */
function open(mirror: Partial<Mirror> = {}, now: () => number = Date.now) {
  const rows: MirrorRow[] = [];
  const asked: { signal: AbortSignal; say: (answer: SecondAnswer | null) => void; model: string }[] = [];
  let called = Promise.withResolvers<void>();
  let noted = Promise.withResolvers<void>();
  const send: SendSecond = ({ model }, _path, _body, signal) =>
    new Promise((resolve, reject) => {
      asked.push({ signal, say: resolve, model });
      signal.addEventListener("abort", () => reject(signal.reason));
      called.resolve();
    });
  const note = (row: MirrorRow) => {
    rows.push(row);
    noted.resolve();
  };
  const line = createMirrorLine({ ...MIRROR, ...mirror }, { send, note, now, answerMsMax: 60_000 });
  return {
    line,
    rows,
    asked,
    untilAsked: async (count: number) => {
      while (asked.length < count) {
        await called.promise;
        called = Promise.withResolvers();
      }
    },
    untilNoted: async (count: number) => {
      while (rows.length < count) {
        await noted.promise;
        noted = Promise.withResolvers();
      }
    },
  };
}

test("two answers are compared once both are there, in whichever order they come", async () => {
  const { line, rows, asked, untilAsked, untilNoted } = open();
  const one = line.take(CALL)!;
  const other = line.take(CALL)!;
  await untilAsked(2);
  expect(asked[0]!.model).toBe("n");
  one(first("Hello you"));
  asked[0]!.say(second("Hello me"));
  await untilNoted(1);
  asked[1]!.say(second("Hello you"));
  other(first("Hello you"));
  await untilNoted(2);
  expect(rows.map(({ same, differsAt }) => [same, differsAt])).toEqual([
    [false, 6],
    [true, null],
  ]);
  expect(rows[0]).toMatchObject({
    model: "m",
    to: "n",
    a: { engine: "e", chars: 9, finish: "stop", tokensOut: 4, durationMs: 12 },
    b: { engine: "f", chars: 8, finish: "stop", tokensOut: 5 },
  });
  expect(JSON.stringify(rows)).not.toContain("Hello");
  expect(line.counts()).toEqual({ compared: 2, dropped: 0 });
});

test("no more run at the same time than may, and what does not fit in the line is dropped", async () => {
  const { line, asked, untilAsked } = open();
  const taken = Array.from({ length: 100 }, () => line.take(CALL));
  await untilAsked(2);
  expect(taken.filter((each) => each !== null).length).toBe(66);
  expect(line.counts().dropped).toBe(34);
  expect(asked.length).toBe(2);
  asked[0]!.say(second("x"));
  await untilAsked(3);
  line.stop();
  expect(line.take(CALL)).toBeNull();
});

test("bodies that wait have a bound together", () => {
  const { line } = open();
  const large = { ...CALL, body: new Uint8Array(5_000_000) };
  expect([1, 2, 3, 4, 5].map(() => line.take(large) !== null)).toEqual([true, true, true, false, false]);
  line.stop();
});

test("an engine without room is asked again, for a while", async () => {
  let at = 0;
  const { line, asked, untilAsked } = open({}, () => at);
  line.take(CALL);
  await untilAsked(1);
  asked[0]!.say(null);
  await untilAsked(2);
  expect(line.counts().dropped).toBe(0);
  at = 11_000;
  asked[1]!.say(null);
  const until = Date.now() + 5_000;
  while (line.counts().dropped === 0 && Date.now() < until) await Bun.sleep(10);
  expect([line.counts(), asked.length]).toEqual([{ compared: 0, dropped: 1 }, 2]);
});

test("the end of the server hangs up on second engines", async () => {
  const { line, asked, untilAsked } = open();
  line.take(CALL);
  await untilAsked(1);
  line.stop();
  expect(asked[0]!.signal.aborted).toBe(true);
});

test("a report counts what was the same, what parted, and who failed", () => {
  const side = { engine: "e", status: 200, code: "", durationMs: 10, chars: 10, callChars: 0, finish: "stop" };
  const whole = { ...side, whole: true, tokensIn: 1, tokensOut: 2 };
  const broken = { ...whole, whole: false, code: "engine_timeout", finish: "none" };
  const row = (fields: Partial<MirrorRow>): MirrorRow => ({
    at: 0,
    model: "m",
    to: "n",
    path: "/v1/chat/completions",
    stream: false,
    same: false,
    differsAt: null,
    a: whole,
    b: whole,
    ...fields,
  });
  const [report] = mirrorReport([
    row({ same: true }),
    row({ differsAt: 4, b: { ...whole, chars: 20, finish: "length" } }),
    row({ b: broken }),
    row({ a: broken }),
    row({ a: broken, b: broken }),
  ]);
  expect(report).toMatchObject({
    calls: 5,
    same: 1,
    different: 1,
    onlyFirstFailed: 1,
    onlySecondFailed: 1,
    bothFailed: 1,
    finish: { "stop / stop": 1, "stop / length": 1 },
    codes: { engine_timeout: 2 },
    differsAt: { p50: 4 },
    lengthRatio: { p99: 2 },
  });
});
