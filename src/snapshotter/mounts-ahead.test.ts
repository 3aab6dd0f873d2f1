import assert from "node:assert/strict";
import { test } from "node:test";
import { HeldClock } from "../async/held-clock.fixture.ts";
import { systemClock } from "../async/index.ts";
import type { Digest } from "../oci/index.ts";
import { MountsAhead } from "./mounts-ahead.ts";
import type { RemoteOrigin } from "./snapshot.ts";

const ORIGIN: RemoteOrigin = {
  digest: digestOf(0),
  reference: "registry.test/image:1",
  tocDigest: digestOf(1000),
  manifest: digestOf(2000),
  skipVerify: false,
  owner: { uid: 1, gid: 1 },
};

function digestOf(number: number): Digest {
  return `sha256:${number.toString(16).padStart(64, "0")}`;
}

/** Wakes all who sleep, and lets them go on. */
async function wake(clock: HeldClock): Promise<void> {
  for (const end of clock.wakes.splice(0)) end();
  await systemClock.sleep(0);
}

const prepare = (origin: RemoteOrigin): Promise<RemoteOrigin> => Promise.resolve(origin);

/** Ids are the numbers of digests. */
const numberOf = ({ digest }: RemoteOrigin): number => Number.parseInt(digest.slice(-8), 16);

test("each layer is mounted once, as the image says and not as the layer below was", async () => {
  const mounted: RemoteOrigin[] = [];
  const mount = (origin: RemoteOrigin): Promise<number> => {
    mounted.push(origin);
    return Promise.resolve(numberOf(origin));
  };
  const ahead = new MountsAhead({ clock: new HeldClock(), prepare, mount, discard: () => undefined });
  ahead.expect(ORIGIN, [digestOf(1), digestOf(2)]);
  ahead.expect(ORIGIN, [digestOf(2)]);
  assert.equal(await ahead.take(digestOf(2)), 2);
  assert.equal(await ahead.take(digestOf(2)), undefined);
  assert.equal(await ahead.take(digestOf(3)), undefined);
  const { manifest, reference, skipVerify } = ORIGIN;
  assert.deepEqual(
    mounted,
    [1, 2].map((number) => ({ digest: digestOf(number), reference, skipVerify, manifest })),
  );
  await ahead.close();
});

test("a layer that cannot be mounted is none", async () => {
  const mount = (): Promise<never> => Promise.reject(new Error("the registry is down"));
  const ahead = new MountsAhead({ clock: new HeldClock(), prepare, mount, discard: () => undefined });
  ahead.expect(ORIGIN, [digestOf(1)]);
  assert.equal(await ahead.take(digestOf(1)), undefined);
  await ahead.close();
});

test("a layer that is not ready keeps no other from being mounted, and is not waited for at the end", async () => {
  const slow = (origin: RemoteOrigin): Promise<RemoteOrigin> =>
    numberOf(origin) < 8 ? new Promise(() => undefined) : Promise.resolve(origin);
  const mount = (origin: RemoteOrigin): Promise<number> => Promise.resolve(numberOf(origin));
  const clock = new HeldClock();
  const ahead = new MountsAhead({ clock, prepare: slow, mount, discard: () => undefined });
  ahead.expect(ORIGIN, [1, 2, 3, 4, 5, 6, 7, 8].map(digestOf));
  assert.equal(await ahead.take(digestOf(8)), 8);
  await ahead.close();
});

test("layers go when no request came for a while, and stay while there are some", async () => {
  const clock = new HeldClock();
  const gone: number[] = [];
  const mount = (origin: RemoteOrigin): Promise<number> => Promise.resolve(numberOf(origin));
  const ahead = new MountsAhead({ clock, prepare, mount, discard: (id) => gone.push(id) });
  ahead.expect(ORIGIN, [digestOf(1), digestOf(2), digestOf(3)]);
  ahead.expect(ORIGIN, []);
  assert.equal(await ahead.take(digestOf(1)), 1);
  ahead.expect(ORIGIN, []);
  await wake(clock);
  assert.deepEqual(gone, []);
  await wake(clock);
  assert.deepEqual(gone, [2, 3]);
  ahead.expect(ORIGIN, [digestOf(2)]);
  assert.equal(await ahead.take(digestOf(2)), 2);
  await ahead.close();
});

test("after the end nothing is begun, and what has begun is waited for", async () => {
  const ready = Promise.withResolvers<number>();
  const begun: number[] = [];
  const mount = (origin: RemoteOrigin): Promise<number> => {
    begun.push(numberOf(origin));
    return ready.promise;
  };
  const ahead = new MountsAhead({ clock: new HeldClock(), prepare, mount, discard: () => undefined });
  // More than are mounted at once.
  ahead.expect(ORIGIN, [1, 2, 3, 4, 5, 6].map(digestOf));
  while (begun.length < 4) await Promise.resolve();
  const closed = ahead.close();
  ahead.expect(ORIGIN, [digestOf(7)]);
  ready.resolve(1);
  await closed;
  assert.deepEqual(begun, [1, 2, 3, 4]);
});
