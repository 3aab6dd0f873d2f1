import assert from "node:assert/strict";
import { test } from "node:test";
import { mapId, readOwnerMap } from "./owner-map.ts";

test("mapId() shifts ids of a range and gives the others to the first", () => {
  const ranges = [
    { inside: 0, outside: 1000, count: 1 },
    { inside: 1, outside: 100_000, count: 65_536 },
  ];
  assert.deepEqual(
    [0, 1, 999, 65_536, 65_537, 4_294_967_294].map((id) => mapId(id, ranges)),
    [1000, 100_000, 100_998, 165_535, 1000, 1000],
  );
});

test("readOwnerMap() makes a user's root the user", async () => {
  assert.deepEqual(await readOwnerMap({ uid: 1000, gid: 100 }), {
    uids: [{ inside: 0, outside: 1000, count: 1 }],
    gids: [{ inside: 0, outside: 100, count: 1 }],
  });
});
