import assert from "node:assert/strict";
import { test } from "node:test";
import type { ImageEvent } from "../lazyfs/index.ts";
import { Announcements } from "./announcements.ts";
import type { ControlEvent, ImageRequest } from "./control-protocol.ts";
import type { PrepareWork, ReadyImage } from "./image-work.ts";

const REQUEST: ImageRequest = { reference: "registry.example/app:1" };

/** Preparations that end when a test says so. */
class Preparations {
  readonly works: PrepareWork[] = [];
  readonly outcomes: PromiseWithResolvers<ReadyImage>[] = [];
  closed = 0;

  readonly prepare = (_request: ImageRequest, work: PrepareWork): Promise<ReadyImage> => {
    const outcome = Promise.withResolvers<ReadyImage>();
    this.works.push(work);
    this.outcomes.push(outcome);
    work.signal.addEventListener("abort", () => outcome.reject(work.signal.reason));
    return outcome.promise;
  };

  readonly image = {
    indexMs: 1,
    layers: [],
    [Symbol.asyncDispose]: () => Promise.resolve(void (this.closed += 1)),
  } as unknown as ReadyImage;
}

const note = (text: string): ControlEvent => ({ kind: "note", text });
const layers = (index: number): ImageEvent => ({
  kind: "layer",
  index,
  layer: `sha256:${"a".repeat(64)}`,
  lazy: true,
});

test("who asks for what was announced gets it, and is told all that happened", async () => {
  const preparations = new Preparations();
  const announcements = new Announcements(preparations.prepare);
  const announced = announcements.announce(REQUEST, { signal: new AbortController().signal });
  const [work] = preparations.works;
  work?.emit(note("before"));
  work?.emit({ kind: "progress", doneBytes: 1, totalBytes: 2, layers: [] });
  work?.first?.onEvent(layers(0));
  assert.equal(announcements.take({ ...REQUEST, platform: "linux/arm64" }), undefined);

  const told: unknown[] = [];
  const joined = announcements.take(REQUEST)?.join({
    emit: (event) => told.push(event),
    first: { onEvent: (event) => told.push(event) },
    signal: new AbortController().signal,
  });
  await announced;
  work?.first?.onEvent(layers(1));
  work?.emit(note("after"));
  preparations.outcomes[0]?.resolve(preparations.image);
  assert.equal(await joined, preparations.image);
  assert.deepEqual(told, [note("before"), layers(0), layers(1), note("after")]);
  assert.equal(preparations.closed, 0);
  assert.equal(announcements.take(REQUEST), undefined);
});

test("what was announced by somebody who leaves is ended, and closed if it was ready", async () => {
  for (const isReady of [false, true]) {
    const preparations = new Preparations();
    const announcements = new Announcements(preparations.prepare);
    const leaving = new AbortController();
    const announced = announcements.announce(REQUEST, { signal: leaving.signal });
    if (isReady) preparations.outcomes[0]?.resolve(preparations.image);
    leaving.abort(new Error("left"));
    await announced;
    assert.equal(preparations.works[0]?.signal.aborted, true);
    assert.equal(preparations.closed, isReady ? 1 : 0);
    assert.equal(announcements.take(REQUEST), undefined);
  }
});

test("who announced may leave when it was asked for", async () => {
  const preparations = new Preparations();
  const announcements = new Announcements(preparations.prepare);
  const leaving = new AbortController();
  const announced = announcements.announce(REQUEST, { signal: leaving.signal });
  const { signal } = new AbortController();
  const joined = announcements.take(REQUEST)?.join({ emit: () => undefined, signal });
  leaving.abort(new Error("left"));
  await announced;
  preparations.outcomes[0]?.resolve(preparations.image);
  assert.equal(await joined, preparations.image);
  assert.equal(preparations.closed, 0);
});

test("who asks learns why it failed, and can end it", async () => {
  const preparations = new Preparations();
  const announcements = new Announcements(preparations.prepare);
  const { signal } = new AbortController();
  void announcements.announce(REQUEST, { signal });
  preparations.outcomes[0]?.reject(new Error("no such image"));
  await assert.rejects(
    async () => await announcements.take(REQUEST)?.join({ emit: () => undefined, signal }),
    /no such/,
  );

  void announcements.announce(REQUEST, { signal });
  const ending = new AbortController();
  const joined = announcements.take(REQUEST)?.join({ emit: () => undefined, signal: ending.signal });
  ending.abort(new Error("ended"));
  await assert.rejects(async () => await joined, /ended/);
});

test("each of two who announced the same has one", async () => {
  const preparations = new Preparations();
  const announcements = new Announcements(preparations.prepare);
  const { signal } = new AbortController();
  const [first, second] = [
    announcements.announce(REQUEST, { signal }),
    announcements.announce(REQUEST, { signal }),
  ];
  const work = { emit: () => undefined, signal };
  for (const outcome of preparations.outcomes) outcome.resolve(preparations.image);
  await announcements.take(REQUEST)?.join(work);
  await first;
  await announcements.take(REQUEST)?.join(work);
  await second;
  assert.equal(announcements.take(REQUEST), undefined);
});
