import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../async/index.ts";
import type { ImageEvent } from "../lazyfs/index.ts";
import { Announcements } from "./announcements.ts";
import type { ControlEvent, ImageRequest, MountRequest } from "./control-protocol.ts";
import type { PrepareWork } from "./image-opener.ts";
import type { ReadyImage } from "./image-work.ts";

const REQUEST = { reference: "registry.example/app:1", ownerPid: 7 };

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
  const announcements = new Announcements(preparations.prepare, systemClock);
  const announced = announcements.announce(REQUEST, { signal: new AbortController().signal });
  const [work] = preparations.works;
  work?.emit(note("before"));
  work?.emit({ kind: "progress", doneBytes: 1, totalBytes: 2, layers: [] });
  work?.first?.onEvent(layers(0));
  for (const other of [{ platform: "linux/arm64" }, { ownerPid: 8 }, { ownerPid: undefined }])
    assert.equal(announcements.take({ ...REQUEST, ...other } as MountRequest), undefined);

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
    const announcements = new Announcements(preparations.prepare, systemClock);
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
  const announcements = new Announcements(preparations.prepare, systemClock);
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
  const announcements = new Announcements(preparations.prepare, systemClock);
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

test("each process has what it announced itself, once", async () => {
  const preparations = new Preparations();
  const announcements = new Announcements(preparations.prepare, systemClock);
  const { signal } = new AbortController();
  const other = { ...REQUEST, ownerPid: 8 };
  const announced = [REQUEST, other].map((request) => announcements.announce(request, { signal }));
  await announcements.announce(REQUEST, { signal });
  assert.equal(preparations.works.length, 2);
  for (const outcome of preparations.outcomes) outcome.resolve(preparations.image);
  const work = { emit: () => undefined, signal };
  await announcements.take(other)?.join(work);
  await announcements.take(REQUEST)?.join(work);
  await Promise.all(announced);
  assert.equal(preparations.closed, 0);
});

test("what is not asked for within seconds is dropped, and so is all when the server ends", async () => {
  for (const how of ["late", "end"] as const) {
    const preparations = new Preparations();
    const waits: PromiseWithResolvers<void>[] = [];
    const sleep = async (_ms: number, { signal }: { readonly signal?: AbortSignal } = {}): Promise<void> => {
      const wait = Promise.withResolvers<void>();
      waits.push(wait);
      signal?.addEventListener("abort", () => wait.reject(signal.reason));
      await wait.promise;
    };
    const announcements = new Announcements(preparations.prepare, { ...systemClock, sleep });
    const { signal } = new AbortController();
    const announced = announcements.announce(REQUEST, { signal });
    preparations.outcomes[0]?.resolve(preparations.image);
    if (how === "late") waits[0]?.resolve();
    else announcements.end();
    await announced;
    assert.equal(preparations.closed, 1);
    assert.equal(announcements.take(REQUEST), undefined);
    await announcements.announce(REQUEST, { signal: how === "late" ? AbortSignal.abort() : signal });
    assert.equal(preparations.works.length, 1);
  }
});
