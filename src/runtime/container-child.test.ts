/**
 * Containers of a process of their own: signals, terminals, other users, and the death of that process.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync, type ChildProcess, type StdioOptions } from "node:child_process";
import { once } from "node:events";
import { access, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { findRuntimes } from "./find-runtimes.ts";
import type { RunContainerOptions, RuntimeKind } from "./run-options.ts";
import { crunPath, HOST_PATH, missingForContainers, Output, Scratch } from "./sample-root.fixture.ts";

const CHILD = join(import.meta.dirname, "container-child.fixture.ts");
const NOBODY = 65_534;

interface ChildResult {
  readonly exitStatus?: number;
  readonly signal?: string;
  readonly message?: string;
  readonly notes: readonly string[];
}

for (const runtime of ["runc", "crun", "none"] as const) {
  describe(`runContainer() with ${runtime === "none" ? "unshare" : runtime}`, { concurrency: 2 }, () =>
    suite(runtime),
  );
}

function suite(runtime: RuntimeKind): void {
  const testChild = (
    name: string,
    body: (scratch: Scratch, t: TestContext) => Promise<void>,
    owner = 0,
  ): void => {
    test(name, { timeout: 240_000 }, async (t) => {
      const missing =
        (await missingForContainers(runtime)) ?? (owner === 0 ? undefined : await missingForUsers());
      if (missing !== undefined) return t.skip(missing);
      await using scratch = await Scratch.create(owner);
      t.after(() => scratch.killChildren());
      await body(scratch, t);
      assert.deepEqual(await readdir(scratch.state), [], "the state directory is empty again");
    });
  };

  for (const signal of [
    "SIGTERM",
    "SIGINT",
    "SIGHUP",
    "SIGQUIT",
    "SIGUSR1",
    "SIGUSR2",
    "SIGWINCH",
  ] as const) {
    testChild(`passes ${signal} on, once`, async (scratch) => {
      const name = signal.slice("SIG".length);
      const script = `n=0; trap 'n=$((n+1))' ${name}; touch /tmp/up; while [ $n = 0 ]; do sleep 0.02; done; sleep 0.1; exit $((40+n))`;
      const child = await start(scratch, script);
      await fileAt(join(scratch.root, "tmp/up"));
      // Before the container's number is known, a change of the window reaches nobody.
      if (signal === "SIGWINCH") await containerPid(scratch);
      child.kill(signal);
      assert.equal((await resultOf(scratch, child)).exitStatus, 41);
    });
  }

  testChild("ends with 137 when the first process is killed from outside", async (scratch) => {
    const child = await start(scratch, "touch /tmp/up; while :; do sleep 0.02; done");
    await fileAt(join(scratch.root, "tmp/up"));
    const pid = await containerPid(scratch);
    process.kill(pid, "SIGKILL");
    const { exitStatus, signal } = await resultOf(scratch, child);
    assert.deepEqual({ exitStatus, signal }, { exitStatus: 137, signal: "SIGKILL" });
  });

  testChild("takes the container away when the process that started it is killed", async (scratch) => {
    const child = await start(scratch, "touch /tmp/up; while :; do sleep 0.02; done");
    await fileAt(join(scratch.root, "tmp/up"));
    const pid = await containerPid(scratch);
    child.kill("SIGKILL");
    await once(child, "exit");
    await until(async () => (await readdir(scratch.state)).length === 0);
    await assert.rejects(access(`/proc/${pid}/root/bin`), { code: "ENOENT" });
  });

  testChild("gives a terminal", async (scratch, t) => {
    if (spawnSync("script", ["--version"]).status !== 0) return t.skip("script is missing");
    const output =
      "tty >&2; test -t 0 && test -t 1 && echo $TERM; until stty size 2> /dev/null; do sleep 0.02; done; exit 9";
    const command = `stty rows 33 cols 111; ${(await childWords(scratch, output, { tty: true })).map((word) => `'${word}'`).join(" ")}`;
    const child = spawn("script", ["-qec", command, "/dev/null"], { stdio: ["pipe", "pipe", "inherit"] });
    let text = "";
    child.stdout.on("data", (part: Buffer) => (text += part.toString()));
    await once(child, "exit");
    const { exitStatus, message } = await readResult(scratch);
    assert.equal(exitStatus, 9, message);
    const lines = text.split(/\r?\n/);
    assert.ok(lines.includes("xterm"), text);
    assert.ok(lines.includes("33 111"), text);
  });

  testChild(
    "runs for a user whom the machine lends no ids",
    async (scratch) => {
      const rootfs = scratch.overlay();
      const script =
        "id -u; touch /new; stat -c %u /new /proc; echo hi > /dev/null; test -e /dev/pts; exit 5";
      const { lines, result } = await runAs(scratch, script, { rootfs, user: "app" });
      assert.deepEqual(lines, ["0", "0", "65534"]);
      assert.equal(result.exitStatus, 5);
      assert.deepEqual(
        result.notes.filter((note) => !note.startsWith("without runc")),
        [
          "the machine lends no ids (newuidmap, /etc/subuid): files of other owners show as nobody's",
          "the user namespace has no user 1000: the container runs as its root instead",
        ],
      );
      await access(join(scratch.path, "upper/new"));
    },
    NOBODY,
  );

  testChild(
    "runs for a user whom the machine lends ids",
    async (scratch, t) => {
      const found = await findRuntimes({ path: HOST_PATH });
      if (found.newuidmap === undefined || found.newgidmap === undefined)
        return t.skip("newuidmap is missing");
      const rootfs = scratch.overlay();
      const script = "id -u; id -G; touch /tmp/new; stat -c %u /tmp/new; exit 6";
      const config = { rootfs: { type: "layers" as const } };
      await import("node:fs/promises").then(({ chmod }) => chmod(join(scratch.root, "tmp"), 0o1777));
      const more = { rootfs, user: "app", config };
      const { lines, result } = await runAs(scratch, script, more, { lend: "nobody:200000:65536" });
      assert.equal(result.exitStatus, 6, result.message);
      assert.deepEqual(lines, ["1000", "1000 33 44", "1000"]);
      assert.deepEqual(
        result.notes.filter((note) => !note.startsWith("without runc")),
        [],
      );
    },
    NOBODY,
  );

  testChild(
    "takes the container of a user away when the process that started it is killed",
    async (scratch) => {
      const child = await startAs(scratch, "touch /tmp/up; while :; do sleep 0.02; done", {
        rootfs: scratch.overlay(),
      });
      await fileAt(join(scratch.path, "upper/tmp/up"));
      child.kill("SIGKILL");
      await once(child, "exit");
      await until(async () => (await readdir(scratch.state)).length === 0);
    },
    NOBODY,
  );

  testChild("runs as root of a namespace that is there", async (scratch, t) => {
    const missing = await missingForUsers();
    if (missing !== undefined) return t.skip(missing);
    const words = await childWords(scratch, "id -u; exit 4", { rootfs: scratch.overlay() });
    using output = new Output(scratch.path);
    const namespace = ["unshare", "--user", "--map-root-user", "--mount", ...words];
    const [program = "", ...parameters] = runtime === "crun" ? withOneHierarchy(namespace) : namespace;
    const child = spawn(program, parameters, { stdio: [...output.stdio] });
    await once(child, "exit");
    const { exitStatus, message } = await readResult(scratch);
    assert.equal(exitStatus, 4, message);
    assert.deepEqual(await output.lines(), ["0"]);
  });

  async function childWords(
    scratch: Scratch,
    script: string,
    more: Partial<RunContainerOptions> = {},
  ): Promise<string[]> {
    const path = runtime === "crun" && scratch.owner === 0 ? await crunPath(scratch.path) : HOST_PATH;
    const options = { ...scratch.options(script), runtime, ...more, host: { path } };
    await writeFile(join(scratch.path, "options.json"), JSON.stringify(options));
    return [process.execPath, CHILD, join(scratch.path, "options.json"), join(scratch.path, "result.json")];
  }

  async function start(scratch: Scratch, script: string): Promise<ChildProcess> {
    const [program = "", ...parameters] = await childWords(scratch, script);
    return started(scratch, spawn(program, parameters, { stdio: ["ignore", "ignore", "inherit"] }));
  }

  async function startAs(
    scratch: Scratch,
    script: string,
    more: Partial<RunContainerOptions>,
    { lend, stdio }: { readonly lend?: string; readonly stdio?: StdioOptions } = {},
  ): Promise<ChildProcess> {
    const command = await childWords(scratch, script, more);
    const drop = ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups", ...command];
    const user = runtime === "crun" ? withOneHierarchy(drop) : drop;
    if (lend === undefined)
      return started(scratch, spawn(user[0] ?? "", user.slice(1), { stdio: stdio ?? "ignore" }));
    await writeFile(join(scratch.path, "lent"), `${lend}\n`);
    // Lent to this one process: nobody else sees the files.
    const binds = 'mount --bind "$0" /etc/subuid && mount --bind "$0" /etc/subgid && exec "$@"';
    const words = ["--mount", "sh", "-c", binds, join(scratch.path, "lent"), ...user];
    return started(scratch, spawn("unshare", words, { stdio: stdio ?? "ignore" }));
  }

  async function runAs(
    scratch: Scratch,
    script: string,
    more: Partial<RunContainerOptions>,
    { lend }: { readonly lend?: string } = {},
  ): Promise<{ lines: string[]; result: ChildResult }> {
    using output = new Output(scratch.path);
    const child = await startAs(scratch, script, more, {
      ...(lend === undefined ? {} : { lend }),
      stdio: [...output.stdio],
    });
    await once(child, "exit");
    assert.equal(child.exitCode, 0, await output.errors());
    return { lines: await output.lines(), result: await readResult(scratch) };
  }
}

/** crun refuses to run beside a hybrid cgroup layout, and a user cannot take the second hierarchy away: root does. */
function withOneHierarchy(words: readonly string[]): string[] {
  const script = 'umount /sys/fs/cgroup/unified 2> /dev/null; exec "$@"';
  return ["unshare", "--mount", "sh", "-c", script, "sh", ...words];
}

/** Why a user cannot run containers; undefined if it can. */
async function missingForUsers(): Promise<string | undefined> {
  const { status } = spawnSync("setpriv", [
    `--reuid=${NOBODY}`,
    "--clear-groups",
    "unshare",
    "--user",
    "true",
  ]);
  return status === 0 ? undefined : "users may not make user namespaces";
}

function started(scratch: Scratch, child: ChildProcess): ChildProcess {
  scratch.children.push(child);
  return child;
}

async function resultOf(scratch: Scratch, child: ChildProcess): Promise<ChildResult> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  return readResult(scratch);
}

/** The number of the container's first process, which a runtime notes a moment after it started. */
async function containerPid(scratch: Scratch): Promise<number> {
  const [name = ""] = await readdir(scratch.state);
  const path = join(scratch.state, name, "pid");
  await fileAt(path);
  // A file without a number yet would mean this process and all of its group.
  await until(async () => Number(await readFile(path, "utf8")) > 1);
  return Number(await readFile(path, "utf8"));
}

async function readResult(scratch: Scratch): Promise<ChildResult> {
  const result: ChildResult = JSON.parse(await readFile(join(scratch.path, "result.json"), "utf8"));
  return result;
}

async function fileAt(path: string): Promise<void> {
  await until(() =>
    access(path).then(
      () => true,
      () => false,
    ),
  );
}

/** Asks again until it is so. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await delay(10);
}
