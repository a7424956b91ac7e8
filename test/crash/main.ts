// `npm run crash-test`: the promise of the ledger, tried out. Options: --rounds 100, --aborts 10000, --seed N.

import { parseArgs } from "node:util";
import { abortAtRandom } from "./aborts.ts";
import { randomFrom } from "./hang-up.ts";
import { crash } from "./rounds.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "100" },
    aborts: { type: "string", default: "10000" },
    streams: { type: "string", default: "64" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
  },
});
const random = randomFrom(Number(values.seed));
console.log(`seed ${values.seed}`);

const report = await crash({
  rounds: Number(values.rounds),
  streams: Number(values.streams),
  random,
  onRound: (round) => round % 10 === 0 && console.log(`${round} kills`),
});
console.log(`
killed                         ${report.kills} times under ${values.streams} streams
delivered                      ${report.delivered}
delivered and unbilled         ${report.deliveredUnbilled}
billed twice                   ${report.billedTwice}
recovery, longest              ${Math.round(report.recoveryMsMax)} ms
start until ready, longest     ${Math.round(report.bootMsMax)} ms (with nothing to recover: ${Math.round(report.firstBootMs)} ms)
database integrity             ${report.integrity}
billed with last bytes lost    ${report.lastBytesLost}
  of these replayed unbilled   ${report.replayedUnbilled}`);

const { held, bounded } = await abortAtRandom(Number(values.aborts), random);
console.log(`
hung up at a random byte       ${values.aborts} times
  slots still held             ${held}
  calls still in flight        ${held}${bounded ? "" : " (NOT BOUNDED)"}`);

const holds =
  report.deliveredUnbilled === 0 &&
  report.billedTwice === 0 &&
  // Of the ledger alone: how long a process takes to start is another matter, and on a busy machine the larger one.
  report.recoveryMsMax < 2_000 &&
  report.integrity === "ok" &&
  report.replayedUnbilled === report.lastBytesLost &&
  held === 0 &&
  bounded;
console.log(holds ? "\nThe promise holds." : "\nTHE PROMISE IS BROKEN.");
process.exit(holds ? 0 : 1);
