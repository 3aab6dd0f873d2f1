/**
 * Images are shown to users without privileges.
 */
import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { chmod, chown, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { promisify } from "node:util";
import { unmountBelow } from "../../src/erofs-mount/index.ts";
import { deviceContent, describeTree, type Descriptions } from "./erofs-trees.ts";
import { missingFuse } from "./fuse-mounts.ts";
import { twoLayersMerged } from "./view-images.ts";

const LIMIT = { timeout: 120_000 };
const NOBODY = 65534;
/** Some machines let only root use the device: in a mount namespace of its own everybody may. */
const PREPARE = `mknod -m 666 "$0/device" c 10 229 && mount --bind "$0/device" /dev/fuse && exec "$@"`;
const MERGED = describeTree(twoLayersMerged(), [deviceContent(0), deviceContent(1)]);

/** What the process says. */
interface Outcome {
  readonly method: string;
  /** EROFS is not for users. */
  readonly isRefused: boolean;
  readonly overlay?: { readonly lower: readonly string[]; readonly upper: string; readonly work: string };
  readonly seen: Descriptions;
  readonly names: readonly string[];
  readonly left: readonly string[];
}

test(
  "a user without privileges mounts by fusermount3, and gets the parts of a writable mount",
  LIMIT,
  async (t) => {
    if (!canRun(t, "fusermount3", "--version")) return;
    const { root, outcome } = await runAsNobody(t, []);
    assert.deepEqual([outcome.method, outcome.isRefused, outcome.left], ["tree", true, []]);
    // The image's root is this user.
    const owned = Object.entries(MERGED).map(([path, one]) => [
      path,
      { ...one, owner: `${NOBODY}:${NOBODY}` },
    ]);
    assert.deepEqual(outcome.seen, Object.fromEntries(owned));
    const home = join(root, "store/mounts/written");
    assert.deepEqual(outcome.overlay, {
      lower: [join(home, "lower")],
      upper: join(home, "upper"),
      work: join(home, "work"),
    });
  },
);

test("in a user namespace no program is needed, and what is written goes to an overlay", LIMIT, async (t) => {
  if (!canRun(t, "unshare", "-Urm", "true")) return;
  const { outcome } = await runAsNobody(t, ["unshare", "-Urm"]);
  assert.deepEqual([outcome.method, outcome.isRefused, outcome.left], ["tree", true, []]);
  assert.equal(outcome.overlay, undefined);
  assert.deepEqual(outcome.seen, MERGED);
  assert.deepEqual(outcome.names, ["again", "big", "both", "link", "linked", "new", "replaced"]);
});

async function runAsNobody(
  t: TestContext,
  command: readonly string[],
): Promise<{ readonly root: string; readonly outcome: Outcome }> {
  const root = await mkdtemp(join(tmpdir(), "esgz-rootless-"));
  t.after(async () => {
    await unmountBelow(root, { lazy: true });
    await rm(root, { recursive: true, force: true });
  });
  await chown(root, NOBODY, NOBODY);
  await chmod(root, 0o755);
  const program = join(import.meta.dirname, "view-rootless-process.ts");
  const user = ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"];
  const all = ["-m", "sh", "-c", PREPARE, root, ...user, ...command, process.execPath, program, root];
  const { stdout } = await promisify(execFile)("unshare", all, {
    cwd: root,
    env: { PATH: process.env["PATH"] ?? "", HOME: root },
    maxBuffer: 16 << 20,
  });
  return { root, outcome: JSON.parse(stdout) as Outcome };
}

/** Whether a program works for that user; says why not. */
function canRun(t: TestContext, program: string, ...parameters: string[]): boolean {
  const missing = missingFuse();
  if (missing === undefined) {
    const { status } = spawnSync(program, parameters, { uid: NOBODY, gid: NOBODY, cwd: "/" });
    if (status === 0) return true;
  }
  t.skip(missing ?? `needs ${program} that works for users`);
  return false;
}
