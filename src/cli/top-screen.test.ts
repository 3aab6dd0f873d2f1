import assert from "node:assert/strict";
import { test } from "node:test";
import type { MountStatus } from "../daemon/index.ts";
import { describeTop } from "./top-screen.ts";

const MOUNT: MountStatus = {
  id: "m1",
  directory: "/mnt/app",
  name: "docker.io/library/app:1",
  method: "erofs-file",
  writable: true,
  createdMs: 0,
  totalBytes: 1_000_000,
  presentBytes: 250_000,
  fetchedBytes: 260_000,
  reads: 40,
  hits: 30,
  waiting: [
    { path: "/usr/lib/short.so", forMs: 10 },
    { path: "/usr/lib/\u001b[31mlong.so", forMs: 1500 },
  ],
  layers: [],
};

test("describeTop() shows how much is here, the rate since the last look, and what is waited for, longest first", () => {
  const before = { atMs: 1000, mounts: [{ ...MOUNT, fetchedBytes: 160_000 }] };
  assert.deepEqual(describeTop({ atMs: 3000, mounts: [MOUNT] }, before).split("\n"), [
    "MOUNT     IMAGE                    VIEW              HERE     SIZE       FETCHED       RATE  READS  HITS  WAITING",
    "/mnt/app  docker.io/library/app:1  erofs-file, rw  250 kB  1.00 MB  25%   260 kB  50.0 kB/s     40   75%        2",
    "",
    "waited for in /mnt/app:",
    "    1.50s  /usr/lib/\\u{1b}[31mlong.so",
    "    0.01s  /usr/lib/short.so",
    "",
  ]);
});

test("describeTop() says when there is nothing", () => {
  assert.equal(describeTop({ atMs: 0, mounts: [] }), "nothing is mounted\n");
});
