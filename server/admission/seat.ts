// A slot that a call holds, until it is given back or exchanged for another. Every call has one, so it is of a class: as
// functions around shared variables it would be ten objects.

import { ApiError } from "@oxbow/contract";
import type { QueueAsk, Turn } from "./queue.ts";

/** What a place should be like. */
export interface PlaceWish {
  accountId: string;
  /** Calls with the same text go to the same engine where that is possible. */
  affinity?: string | undefined;
  /** Names the engines that will do; absent: all of the model's. */
  within?: string | undefined;
  /** Ids of engines that it must not be. */
  not?: ReadonlySet<string>;
}

/** @template O what is told of a call, in the words of who gives the places */
export interface Placement<E, O = never> {
  engine: E;
  release: () => void;
  report?: (outcome: O) => void;
}

/** Who waits, as the line needs to know it. */
export type Standing = Pick<
  QueueAsk<unknown>,
  "accountId" | "priority" | "weight" | "accountDepthMax" | "affinity" | "within"
>;

/** A slot that is held. */
export interface Seat<E, O = never> {
  /** Whose slot it is: another one after `move` and `again`. */
  readonly engine: E;
  readonly waitedMs: number;
  /** What became of the call on this engine. */
  report(outcome: O): void;
  /**
   * Exchanges the slot for one of another engine, if one is free at once. Whoever waits in line is passed.
   * @param outcome what became of the call on the engine that it leaves, if it does
   */
  move(not: ReadonlySet<string>, outcome?: O): boolean;
  /**
   * Gives the slot back and stands in line again, as long as the class may wait altogether.
   * @param signal takes him out of the line
   * @param msMax he waits no longer than so this time
   * @throws as `enter`; the seat is closed then
   */
  again(signal: AbortSignal, msMax?: number): Promise<void>;
  /** Gives the slot back. Safe to call twice: a call can end in more than one way at once. */
  close(): void;
}

/** Where a seat comes from, and another one can be had. */
export interface Places<E, O> {
  tryPlace(model: string, wish: Standing & PlaceWish): Placement<E, O> | null;
  takeTurn(model: string, standing: Standing, signal: AbortSignal): MaybeLater<Turn<Placement<E, O>>>;
  /** Of a class; ms. */
  waitMsMaxOf(priority: string): number;
  /** Monotonic ms. */
  now(): number;
  /** Calls `run` once, after `ms`, unless what it returns is called before. */
  after(ms: number, run: () => void): () => void;
}

/** There now, or to be waited for: who comes when nobody waits is not kept waiting by a promise. */
export type MaybeLater<T> = T | Promise<T>;

export class HeldSeat<E, O> implements Seat<E, O> {
  waitedMs: number;
  private readonly places: Places<E, O>;
  private readonly model: string;
  private readonly standing: Standing;
  private readonly sinceMs: number;
  /** null: it is closed. */
  private turn: Turn<Placement<E, O>> | null;
  private given: Placement<E, O>;

  constructor(places: Places<E, O>, turn: Turn<Placement<E, O>>, model: string, standing: Standing) {
    this.places = places;
    this.turn = turn;
    this.given = turn.given;
    this.waitedMs = turn.waitedMs;
    this.sinceMs = places.now() - turn.waitedMs;
    this.model = model;
    this.standing = standing;
  }

  get engine(): E {
    return this.given.engine;
  }

  report(outcome: O): void {
    this.given.report?.(outcome);
  }

  move(not: ReadonlySet<string>, outcome?: O): boolean {
    const other = this.turn && this.places.tryPlace(this.model, { ...this.standing, not });
    if (!other) return false;
    const before = this.given;
    this.given = other;
    if (outcome !== undefined) before.report?.(outcome);
    before.release();
    return true;
  }

  async again(signal: AbortSignal, msMax?: number): Promise<void> {
    this.close();
    const { places, model, standing } = this;
    const waitMsMax = places.waitMsMaxOf(standing.priority);
    if (places.now() - this.sinceMs >= waitMsMax) throw tooLate(waitMsMax);
    const turn = await (msMax === undefined
      ? places.takeTurn(model, standing, signal)
      : this.takeTurnWithin(msMax, signal));
    this.turn = turn;
    this.given = turn.given;
    this.waitedMs += turn.waitedMs;
  }

  close(): void {
    if (this.turn === null) return;
    this.turn.done();
    this.turn = null;
    this.given.release();
  }

  private async takeTurnWithin(ms: number, signal: AbortSignal): Promise<Turn<Placement<E, O>>> {
    const { places, model, standing } = this;
    const late = new AbortController();
    const stop = places.after(ms, () => late.abort(tooLate(ms)));
    try {
      return await places.takeTurn(model, standing, AbortSignal.any([signal, late.signal]));
    } finally {
      stop();
    }
  }
}

function tooLate(waitMsMax: number): ApiError {
  return new ApiError("queue_timeout", `No engine was free within ${waitMsMax / 1000} s. Try again.`);
}
