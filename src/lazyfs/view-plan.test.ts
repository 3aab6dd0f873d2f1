import assert from "node:assert/strict";
import { test } from "node:test";
import { createMountState, type NewMount } from "./create-mount-state.ts";
import { layerFileName, layerNode } from "./layer-node.ts";
import { encodeMountState, parseMountState } from "./mount-record.ts";
import { ownMountsAt } from "./standing-mounts.ts";
import { homeOf } from "./view-home.ts";
import { directoriesOf, placesOf, planView, type ViewRequest } from "./view-plan.ts";

const A = `sha256:${"0123456789ab".padEnd(64, "0")}` as const;
const B = `sha256:${"b".repeat(64)}` as const;
const REQUEST: ViewRequest = {
  home: "/s/mounts/m",
  directory: "/mnt",
  layers: [
    { digest: A, meta: "/a" },
    { digest: B, meta: "/b" },
  ],
  merged: { meta: "/s/mounts/m/meta", metaDigest: B },
  writable: false,
  layered: false,
};
const MOUNT: NewMount = {
  id: "m",
  directory: "/mnt",
  reference: "app:1",
  manifest: B,
  view: { ...REQUEST, writable: true },
  method: "tree",
  mayAssemble: true,
  before: 40,
  createdMs: 5,
};

test("planView() puts a merged image where it is asked for", () => {
  const plan = planView(REQUEST);
  assert.deepEqual(plan, {
    trees: [{ meta: "/s/mounts/m/meta", metaDigest: B, layers: [A, B], place: "/mnt" }],
  });
  assert.deepEqual([directoriesOf(plan, "/s/mounts/m"), placesOf(plan)], [[], ["/mnt"]]);
});

test("planView() puts the upper layer first, and takes away what lies on top first", () => {
  const plan = planView({ ...REQUEST, layered: true, writable: true });
  assert.deepEqual(plan.overlay, {
    lower: ["/s/mounts/m/layers/1", "/s/mounts/m/layers/0"],
    upper: "/s/mounts/m/upper",
    work: "/s/mounts/m/work",
    place: "/mnt",
  });
  assert.deepEqual(placesOf(plan), ["/mnt", "/s/mounts/m/layers/1", "/s/mounts/m/layers/0"]);
});

test("planView() has the kernel sync only what is kept", () => {
  const plan = planView({ ...REQUEST, writable: true, volatile: true });
  assert.equal(plan.overlay?.volatile, true);
  const kept = planView({ ...REQUEST, writable: true, volatile: false });
  assert.equal(kept.overlay?.volatile, undefined);
  assert.deepEqual(planView({ ...REQUEST, volatile: true }), planView(REQUEST));
});

test("planView() gives overlayfs a second directory below one layer", () => {
  const [only] = REQUEST.layers;
  assert.ok(only);
  const plan = planView({ ...REQUEST, layers: [only], layered: true });
  assert.deepEqual(plan.overlay?.lower, ["/s/mounts/m/layers/0", "/s/mounts/m/empty"]);
});

test("parseMountState() gives what encodeMountState() took, and refuses anything else", () => {
  const state = createMountState(MOUNT);
  assert.deepEqual(parseMountState(encodeMountState(state)), JSON.parse(JSON.stringify(state)));
  for (const text of ["", "{}", '{"phase":"made"}', encodeMountState(state).replace(A, "sha256:x")]) {
    assert.throws(() => parseMountState(text), { code: "STORE_INVALID" }, text);
  }
});

test("createMountState() says the parts of an overlay that somebody else has to mount", () => {
  assert.equal(createMountState(MOUNT).record.overlay, undefined);
  assert.deepEqual(createMountState({ ...MOUNT, mayAssemble: false }).record.overlay, {
    lower: ["/s/mounts/m/lower"],
    upper: "/s/mounts/m/upper",
    work: "/s/mounts/m/work",
  });
});

test("ownMountsAt() leaves alone what others mounted at the same place", () => {
  const entry = {
    parentId: 1,
    device: "0:50",
    root: "/",
    mountPoint: "/mnt",
    mountOptions: [],
    optionalFields: [],
    superOptions: [],
  };
  const table = [
    { ...entry, id: 40, type: "erofs", source: "/s/mounts/m/meta" },
    { ...entry, id: 41, type: "ext4", source: "/dev/sda1" },
    { ...entry, id: 42, type: "fuse.esgz", source: "esgz:other" },
    { ...entry, id: 43, type: "overlay", source: "overlay", superOptions: ["rw", "lowerdir+=/other/lower"] },
    { ...entry, id: 44, type: "overlay", source: "overlay", superOptions: ["lowerdir+=/s/mounts/m/lower"] },
    { ...entry, id: 45, type: "fuse.esgz", source: "esgz:m" },
    { ...entry, id: 46, type: "erofs", source: "/s/mounts/m/meta" },
    { ...entry, id: 47, type: "erofs", source: "/s/mounts/m/meta", mountPoint: "/mnt/sub" },
  ];
  const state = createMountState(MOUNT);
  const found = ownMountsAt(table, { state, home: "/s/mounts/m", place: "/mnt" });
  assert.deepEqual(
    found.map(({ id }) => id),
    [44, 45, 46],
  );
});

test("homeOf() refuses names that would leave its directory", () => {
  assert.equal(homeOf("/s", "a-1.b_C"), "/s/mounts/a-1.b_C");
  for (const id of ["", ".", "..", "a/b", ".hidden", "a".repeat(129), "a\n"]) {
    assert.throws(() => homeOf("/s", id), { code: "CONFIGURATION_INVALID" }, id);
  }
});

test("layerNode() follows from the digest alone", () => {
  assert.deepEqual([layerNode(A), layerFileName(A)], [0x0123456789ab + 2, A.slice(7)]);
});
