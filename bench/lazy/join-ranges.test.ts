import assert from "node:assert/strict";
import { test } from "node:test";
import { joinRanges } from "./join-ranges.ts";

test("joinRanges() joins what touches or overlaps, address by address", () => {
  const asked = [
    { url: "/v2/a/blobs/x", range: "bytes=100-199" },
    { url: "/v2/a/manifests/1" },
    { url: "/v2/a/blobs/x", range: "bytes=0-99" },
    { url: "/v2/a/blobs/x", range: "bytes=300-399" },
    { url: "/v2/a/blobs/y", range: "bytes=0-9" },
    { url: "/v2/a/blobs/x", range: "bytes=350-360" },
  ];
  assert.deepEqual(joinRanges(asked), [
    { url: "/v2/a/blobs/x", range: "bytes=0-199" },
    { url: "/v2/a/blobs/x", range: "bytes=300-399" },
    { url: "/v2/a/manifests/1" },
    { url: "/v2/a/blobs/y", range: "bytes=0-9" },
  ]);
});

test("joinRanges() asks for all where somebody asked for all", () => {
  const asked = [{ url: "/v2/a/blobs/x", range: "bytes=0-9" }, { url: "/v2/a/blobs/x" }];
  assert.deepEqual(joinRanges(asked), [{ url: "/v2/a/blobs/x" }]);
});
