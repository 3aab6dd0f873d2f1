import assert from "node:assert/strict";
import { test } from "node:test";
import { HeldClock } from "../async/held-clock.fixture.ts";
import { type InTurn, LayerTurns } from "./layer-turns.ts";

/** Layers whose tables come, and that are made, when a test says so. */
class Layers {
  readonly made: number[] = [];
  readonly #turns: LayerTurns;
  readonly #tables = new Map<number, PromiseWithResolvers<void>>();
  readonly #makings = new Map<number, PromiseWithResolvers<void>>();

  constructor(turns: LayerTurns) {
    this.#turns = turns;
  }

  open(index: number, { asked = false } = {}): Promise<number> {
    this.#tables.set(index, Promise.withResolvers());
    this.#makings.set(index, Promise.withResolvers());
    const open = async (inTurn: InTurn): Promise<number> => {
      await this.#tables.get(index)?.promise;
      return await inTurn(async () => {
        this.made.push(index);
        await this.#makings.get(index)?.promise;
        return index;
      });
    };
    return asked ? this.#turns.openAsked(index, open) : this.#turns.open(index, open);
  }

  async tableCame(index: number): Promise<void> {
    this.#tables.get(index)?.resolve();
    await settled();
  }

  async tableFailed(index: number): Promise<void> {
    this.#tables.get(index)?.reject(new Error("no table"));
    await settled();
  }

  async finish(index: number): Promise<void> {
    this.#makings.get(index)?.resolve();
    await settled();
  }
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}

function setUp(count: number, signal?: AbortSignal): { readonly layers: Layers; readonly clock: HeldClock } {
  const clock = new HeldClock();
  const turns = new LayerTurns({ clock, indexes: Array(count).keys(), atOnce: 2, signal });
  return { clock, layers: new Layers(turns) };
}

test("the layer that is asked for has a place, whoever comes first", async () => {
  const { layers } = setUp(3);
  const opening = [layers.open(0, { asked: true }), layers.open(1), layers.open(2)];
  await layers.tableCame(1);
  await layers.tableCame(2);
  assert.deepEqual(layers.made, [1]);
  await layers.tableCame(0);
  assert.deepEqual(layers.made, [1, 0]);
  await layers.finish(1);
  assert.deepEqual(layers.made, [1, 0, 2]);
  await layers.finish(0);
  await layers.finish(2);
  assert.deepEqual(await Promise.all(opening), [0, 1, 2]);
});

test("the place of the layer that is asked for is free when that is made, though it is not open yet", async () => {
  const gate = Promise.withResolvers<void>();
  const turns = new LayerTurns({ clock: new HeldClock(), indexes: [0, 1], atOnce: 1 });
  const asked = turns.openAsked(0, async (inTurn) => {
    await inTurn(() => Promise.resolve());
    await gate.promise;
  });
  const other = new Layers(turns);
  const opening = other.open(1);
  await other.tableCame(1);
  assert.deepEqual(other.made, [1]);
  await other.finish(1);
  gate.resolve();
  await Promise.all([asked, opening]);
});

test("a layer waits a little for those below it, until they come, fail, or take too long", async () => {
  for (const happens of ["come", "fail", "take long"] as const) {
    const { layers, clock } = setUp(3);
    const opening = [layers.open(0), layers.open(1), layers.open(2)];
    const all = Promise.allSettled(opening);
    await layers.tableCame(2);
    await layers.tableCame(1);
    assert.deepEqual(layers.made, [], happens);
    assert.equal(clock.sleeping, 2);
    if (happens === "come") await layers.tableCame(0);
    else if (happens === "fail") await layers.tableFailed(0);
    else for (const wake of clock.wakes) wake();
    await settled();
    assert.equal(clock.sleeping, 0);
    // Who waited for others goes on in their order, who waited long enough in that in which it began to wait.
    assert.deepEqual(layers.made, { come: [0, 1], fail: [1, 2], "take long": [2, 1] }[happens], happens);
    if (happens === "take long") await layers.tableCame(0);
    for (const index of [0, 1, 2]) await layers.finish(index);
    const expected = happens === "fail" ? ["rejected", "fulfilled", "fulfilled"] : Array(3).fill("fulfilled");
    assert.deepEqual(
      (await all).map(({ status }) => status),
      expected,
    );
  }
});

test("who waits for a turn when nobody wants the image any more is told so", async () => {
  const ending = new AbortController();
  const { layers, clock } = setUp(2, ending.signal);
  const reason = new Error("not wanted");
  const upper = layers.open(1);
  void layers.open(0).catch(() => undefined);
  await layers.tableCame(1);
  assert.equal(clock.sleeping, 1);
  ending.abort(reason);
  await assert.rejects(upper, reason);
  assert.deepEqual(layers.made, []);
});
