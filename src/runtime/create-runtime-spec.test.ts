import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createRuntimeSpec, type RuntimeSpecOptions } from "./create-runtime-spec.ts";
import {
  createIdMapping,
  createSingleIdMapping,
  hasAllIds,
  parseIdMap,
  parseSubordinateIds,
} from "./id-mapping.ts";
import { isEsgzError } from "../errors/index.ts";
import { resolveUser } from "./resolve-user.ts";
import { quoteCommand } from "./shell-text.ts";
import { parseVolume } from "./volume.ts";
import { execFileSync } from "node:child_process";

const BASE: RuntimeSpecOptions = {
  config: { config: { Cmd: ["true"] }, rootfs: { type: "layers" } },
  id: "abc",
  rootfs: "/root-of-it",
  network: "host",
  tty: false,
  readonly: false,
};

test("createRuntimeSpec() gives namespaces, a cgroup and docker's capabilities", () => {
  const spec = createRuntimeSpec(BASE);
  assert.deepEqual(
    spec.linux.namespaces.map(({ type }) => type),
    ["pid", "ipc", "uts", "mount", "cgroup"],
  );
  assert.equal(spec.linux.cgroupsPath, "/esgz-abc");
  // The mask that containers of docker have: 0xa80425fb has 14 bits.
  assert.equal(spec.process.capabilities.bounding.length, 14);
  assert.equal(spec.hostname, "abc");
  assert.deepEqual(spec.process.env, [
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOSTNAME=abc",
    "HOME=/root",
  ]);
});

test("createRuntimeSpec() adds a network namespace where there is to be none", () => {
  const spec = createRuntimeSpec({ ...BASE, network: "none" });
  assert.ok(spec.linux.namespaces.some(({ type }) => type === "network"));
});

test("createRuntimeSpec() goes without cgroups and foreign groups in a user namespace", () => {
  const rootless = createSingleIdMapping({ uid: 1000, gid: 1000 });
  const spec = createRuntimeSpec({ ...BASE, rootless, user: "5" });
  assert.deepEqual(spec.process.user, { uid: 0, gid: 0, additionalGids: [] });
  assert.equal(spec.linux.cgroupsPath, undefined);
  assert.equal(spec.linux.resources, undefined);
  const pts = spec.mounts.find(({ destination }) => destination === "/dev/pts");
  assert.equal(pts?.options.includes("gid=5"), false);
});

test("createRuntimeSpec() mounts parents before children, and volumes instead of what else is there", () => {
  const volume = (text: string): ReturnType<typeof parseVolume> => parseVolume(text, { directory: "/" });
  const files = [{ source: "/bundle/hosts", target: "/etc/hosts" }];
  const volumes = [volume("/a:/etc/hosts:ro"), volume("/b:/x/y"), volume("/c:/x")];
  const mounts = createRuntimeSpec({ ...BASE, files, volumes }).mounts.map(
    ({ destination, source }) => `${source}>${destination}`,
  );
  assert.ok(mounts.indexOf("/c>/x") < mounts.indexOf("/b>/x/y"));
  assert.ok(mounts.includes("/a>/etc/hosts"));
  assert.ok(!mounts.includes("/bundle/hosts>/etc/hosts"));
});

test("createRuntimeSpec() refuses an image without a command, and a relative directory", () => {
  const config = { rootfs: { type: "layers" as const } };
  assert.throws(() => createRuntimeSpec({ ...BASE, config }), {
    code: "USAGE_INVALID",
    message: "Cannot start container: expected a command, got an image without one",
  });
  assert.throws(() => createRuntimeSpec({ ...BASE, command: [""] }), {
    code: "USAGE_INVALID",
    message: "Cannot start container: expected a command, got an empty name",
  });
  assert.throws(() => createRuntimeSpec({ ...BASE, workdir: "here" }), { code: "USAGE_INVALID" });
  assert.throws(() => createRuntimeSpec({ ...BASE, env: ["NAME"] }), { code: "USAGE_INVALID" });
});

test("resolveUser() resolves names before numbers, and groups", () => {
  const files = { passwd: "1:x:7:8::/h:\napp:x:10:11::/app:\nbroken\n", group: "g:x:20:app\nh:x:30:b,app\n" };
  assert.deepEqual(resolveUser("1", files), { uid: 7, gid: 8, additionalGids: [], home: "/h" });
  assert.deepEqual(resolveUser("app", files), { uid: 10, gid: 11, additionalGids: [20, 30], home: "/app" });
  assert.deepEqual(resolveUser("app:h", files), { uid: 10, gid: 30, additionalGids: [], home: "/app" });
  assert.deepEqual(resolveUser("99:98", files), { uid: 99, gid: 98, additionalGids: [], home: "/" });
  assert.deepEqual(resolveUser("", files), { uid: 0, gid: 0, additionalGids: [], home: "/root" });
  for (const text of ["who", "app:who", "2147483648", "-1", "a:b:c"]) {
    assert.throws(() => resolveUser(text, files), { code: "RUNTIME_FAILED" }, text);
  }
});

test("resolveUser() gives a user or a typed error for any files", () => {
  const text = fc.string({
    unit: fc.constantFrom("0", "1", "9", "a", "x", ":", ",", "/", "\n", "\r", " ", "-"),
    maxLength: 60,
  });
  fc.assert(
    fc.property(text, text, text, (user, passwd, group) => {
      try {
        const { uid, gid } = resolveUser(user, { passwd, group });
        return Number.isInteger(uid) && Number.isInteger(gid) && uid <= 0x7fff_ffff && gid <= 0x7fff_ffff;
      } catch (error) {
        return isEsgzError(error, "RUNTIME_FAILED");
      }
    }),
  );
});

test("parseVolume() reads sources, targets and options", () => {
  const directory = "/home/me";
  assert.deepEqual(parseVolume("./src:/app/:ro,z,rslave", { directory }), {
    source: "/home/me/src",
    target: "/app",
    readonly: true,
    propagation: "rslave",
    recursive: true,
  });
  for (const text of ["/a", "name:/x", "/a:b", "/a:/", "/a:/b:fast", "/a:/b:ro,rw", "/a:/b:ro:z", ":/b"]) {
    assert.throws(() => parseVolume(text, { directory }), { code: "USAGE_INVALID" }, text);
  }
});

test("createIdMapping() maps the user to root and lent ids behind it", () => {
  const lenders = {
    uid: 1000,
    gid: 100,
    name: "me",
    subuid: "other:1:2\nme:100000:65536\n",
    subgid: "1000:7:3\nme:50:1",
  };
  assert.deepEqual(createIdMapping(lenders), {
    uids: [
      { inside: 0, outside: 1000, count: 1 },
      { inside: 1, outside: 100_000, count: 65_536 },
    ],
    gids: [
      { inside: 0, outside: 100, count: 1 },
      { inside: 1, outside: 7, count: 3 },
      { inside: 4, outside: 50, count: 1 },
    ],
  });
  assert.equal(createIdMapping({ ...lenders, subgid: "" }), undefined);
  assert.deepEqual(parseSubordinateIds("me:4294967295:9\nme:x:1\nme:1\n", lenders), []);
});

test("parseIdMap() reads the map of a namespace as the kernel writes it", () => {
  const machine = parseIdMap("         0          0 4294967295\n");
  assert.deepEqual(machine, [{ inside: 0, outside: 0, count: 4_294_967_295 }]);
  const lent = parseIdMap("         0       1000          1\n         1     100000      65536\n");
  assert.deepEqual(lent, [
    { inside: 0, outside: 1000, count: 1 },
    { inside: 1, outside: 100_000, count: 65_536 },
  ]);
  assert.deepEqual(parseIdMap(""), []);
  const answers = [
    { uids: machine, gids: machine },
    { uids: lent, gids: machine },
    { uids: machine, gids: lent },
    { uids: [], gids: [] },
  ].map(hasAllIds);
  assert.deepEqual(answers, [true, false, false, false]);
});

test("quoteCommand() gives words that a shell takes as they are", () => {
  const words = ["it's", "", "$HOME `x`", "a\nb", "--", "*", String.raw`\'`];
  const seen = execFileSync("sh", ["-c", `printf '%s\\0' ${quoteCommand(words)}`], { encoding: "utf8" });
  assert.deepEqual(seen.split("\0").slice(0, -1), words);
});
