import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { access, mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import type { ContainerConfig } from "../oci/index.ts";
import type { ContainerExit } from "./container-process.ts";
import { runContainer } from "./run-container.ts";
import type { RunContainerOptions, RuntimeKind } from "./run-options.ts";
import { crunPath, missingForContainers, Output, Scratch } from "./sample-root.fixture.ts";

interface Run {
  readonly exit: ContainerExit;
  readonly lines: string[];
  readonly errors: string;
}

for (const runtime of ["runc", "crun", "none"] as const) {
  describe(`runContainer() with ${runtime === "none" ? "unshare" : runtime}`, { concurrency: 2 }, () =>
    suite(runtime),
  );
}

function suite(runtime: RuntimeKind): void {
  const testRun = (name: string, body: (scratch: Scratch, t: TestContext) => Promise<void>): void => {
    test(name, async (t) => {
      const missing = await missingForContainers(runtime);
      if (missing !== undefined) return t.skip(missing);
      await using scratch = await Scratch.create();
      await body(scratch, t);
      assert.deepEqual(await readdir(scratch.state), [], "the state directory is empty again");
    });
  };
  const run = (scratch: Scratch, script: string, more: Partial<RunContainerOptions> = {}): Promise<Run> =>
    runIn(scratch, { ...scratch.options(script), runtime, ...more });
  const imageOf = (config: ContainerConfig): RunContainerOptions["config"] => ({
    config,
    rootfs: { type: "layers" },
  });

  testRun("gives the image's variables, and the user's over them", async (scratch) => {
    const config = imageOf({ Env: ["A=image", "B=image x", "PATH=/bin"] });
    const { exit, lines } = await run(scratch, "env", { config, env: ["A=user"], hostname: "box" });
    assert.equal(exit.exitStatus, 0);
    const shell = /^(SHLVL|PWD)=/;
    assert.deepEqual(lines.filter((line) => !shell.test(line)).toSorted(), [
      "A=user",
      "B=image x",
      "HOME=/root",
      "HOSTNAME=box",
      "PATH=/bin",
    ]);
  });

  testRun("runs as a user by name, with the groups it is a member of", async (scratch) => {
    const config = imageOf({ User: "app" });
    const { lines } = await run(scratch, "id -u; id -g; id -G; echo $HOME; pwd", { config });
    assert.deepEqual(lines, ["1000", "1000", "1000 33 44", "/home/app", "/"]);
  });

  testRun("runs as a user and group by number", async (scratch) => {
    const { lines } = await run(scratch, "id -u; id -G; echo $HOME", { user: "4711:12" });
    assert.deepEqual(lines, ["4711", "12", "/"]);
  });

  testRun("names an unknown user", async (scratch) => {
    await assert.rejects(run(scratch, "id", { user: "nobody-here" }), {
      code: "RUNTIME_FAILED",
      message:
        'Cannot start container: expected a running process, got "unknown user nobody-here: not in /etc/passwd of the image"',
    });
  });

  testRun("reads no file outside of the root to find a user", async (scratch) => {
    await rm(join(scratch.root, "etc/passwd"));
    await writeFile(join(scratch.path, "outside"), "evil:x:4242:4242::/:/bin/sh\n");
    await symlink("../../../../../../../../../../../../etc/passwd", join(scratch.root, "etc/passwd"));
    await assert.rejects(run(scratch, "id", { user: "daemon" }), { code: "RUNTIME_FAILED" });
    await rm(join(scratch.root, "etc/passwd"));
    await symlink(join(scratch.path, "outside"), join(scratch.root, "etc/passwd"));
    await assert.rejects(run(scratch, "id", { user: "evil" }), { code: "RUNTIME_FAILED" });
  });

  testRun("refuses a root where a pipe is in the place of a file that runtimes read", async (scratch) => {
    await rm(join(scratch.root, "etc/group"));
    execFileSync("mkfifo", [join(scratch.root, "etc/group")]);
    await assert.rejects(run(scratch, "id", { user: "7" }), /"\/etc\/group of the image is no file"/);
  });

  testRun("keeps what it needs in a directory of any name", async (scratch) => {
    const stateDirectory = await scratch.directory("state, a:b\\c=\nd");
    const { lines, errors } = await run(scratch, "echo here", { stateDirectory });
    assert.deepEqual({ lines, errors }, { lines: ["here"], errors: "" });
    assert.deepEqual(await readdir(stateDirectory), []);
  });

  testRun("makes the working directory", async (scratch) => {
    const { lines } = await run(scratch, "pwd", { config: imageOf({ WorkingDir: "/srv/new place" }) });
    assert.deepEqual(lines, ["/srv/new place"]);
    const other = await run(scratch, "pwd", { workdir: "/tmp", config: imageOf({ WorkingDir: "/srv" }) });
    assert.deepEqual(other.lines, ["/tmp"]);
  });

  testRun("runs entrypoint and command of the image, or what is asked for", async (scratch) => {
    const config = imageOf({ Entrypoint: ["echo", "entry"], Cmd: ["image"] });
    const words = async (more: Partial<RunContainerOptions>): Promise<string[]> =>
      (await run(scratch, "", { config, command: [], ...more })).lines;
    assert.deepEqual(await words({}), ["entry image"]);
    assert.deepEqual(await words({ command: ["user"] }), ["entry user"]);
    assert.deepEqual(await words({ entrypoint: ["echo"] }), [""]);
    assert.deepEqual(await words({ entrypoint: [], command: ["echo", "it's $HOME"] }), ["it's $HOME"]);
  });

  testRun("ends with the status of the first process", async (scratch) => {
    assert.deepEqual((await run(scratch, "exit 0")).exit, { exitStatus: 0 });
    assert.deepEqual((await run(scratch, "exit 3")).exit, { exitStatus: 3 });
    assert.deepEqual((await run(scratch, "sh -c 'kill -9 $$'; exit $?")).exit, {
      exitStatus: 137,
      signal: "SIGKILL",
    });
    assert.deepEqual((await run(scratch, "sh -c 'kill -15 $$'; exit $?")).exit, {
      exitStatus: 143,
      signal: "SIGTERM",
    });
  });

  testRun("ends with 127 for a program that is missing, 126 for one that cannot be run", async (scratch) => {
    const statusOf = async (command: string[]): Promise<unknown> =>
      run(scratch, "", { command }).then(
        ({ exit }) => exit.exitStatus,
        (error: { details: { exitStatus: number } }) => error.details.exitStatus,
      );
    assert.equal(await statusOf(["no-such-program"]), 127);
    assert.equal(await statusOf(["/no/such/program"]), 127);
    assert.equal(await statusOf(["/etc/passwd"]), 126);
    assert.equal(await statusOf(["/etc"]), 126);
  });

  testRun("mounts volumes, for reading and writing", async (scratch) => {
    const source = await scratch.directory("data, with space");
    await writeFile(join(source, "file"), "from outside\n");
    const volumes = [
      { source, target: "/data", readonly: false, propagation: "rprivate", recursive: true },
      { source, target: "/var/deep/sealed", readonly: true, propagation: "rprivate", recursive: true },
      {
        source: join(source, "file"),
        target: "/etc/motd",
        readonly: true,
        propagation: "rprivate",
        recursive: true,
      },
    ];
    const script =
      "cat /data/file; echo hello > /data/new; touch /var/deep/sealed/x || cat /var/deep/sealed/new; cat /etc/motd";
    const { lines } = await run(scratch, script, { volumes });
    assert.deepEqual(lines, ["from outside", "hello", "from outside"]);
    assert.equal(await readFile(join(source, "new"), "utf8"), "hello\n");
  });

  testRun("names a volume that is missing", async (scratch) => {
    const source = join(scratch.path, "nowhere");
    const volumes = [{ source, target: "/data", readonly: false, propagation: "rprivate", recursive: true }];
    await assert.rejects(run(scratch, "true", { volumes }), { code: "FILE_NOT_FOUND" });
  });

  testRun("has the machine's network, or none", async (scratch) => {
    const devices = "cat /proc/net/dev | grep -c :; cat /etc/hostname; grep -c localhost /etc/hosts; ls /etc";
    const own = await readFile("/proc/net/dev", "utf8");
    const host = await run(scratch, devices, { network: "host", hostname: "box" });
    assert.equal(host.lines[0], String(own.split("\n").filter((line) => line.includes(":")).length));
    assert.ok(host.lines.includes("resolv.conf"));
    const none = await run(scratch, "cat /proc/net/dev | grep : | grep -vc lo:; hostname", {
      hostname: "box",
    });
    assert.equal(none.lines[1], "box");
  });

  testRun("hides the machine's processes, and seals /proc and /sys", async (scratch) => {
    const script =
      "echo $$; touch /sys/x || echo sealed; echo 1 > /proc/sys/kernel/panic || echo sealed; cat /proc/kcore | wc -c";
    assert.deepEqual((await run(scratch, script)).lines, ["1", "sealed", "sealed", "0"]);
  });

  testRun("writes nothing to a read-only root", async (scratch) => {
    await mkdir(join(scratch.root, "proc"));
    const { lines } = await run(scratch, "touch /x || echo sealed; touch /dev/shm/x && echo shm", {
      readonly: true,
    });
    assert.deepEqual(lines, ["sealed", "shm"]);
    await assert.rejects(access(join(scratch.root, "x")), { code: "ENOENT" });
  });

  testRun("mounts an overlay for the container alone", async (scratch) => {
    const rootfs = scratch.overlay();
    const { exit, lines } = await run(scratch, "echo hi > /new; cat /new; id -u", {
      rootfs,
      user: "app:app",
      workdir: "/tmp",
    });
    assert.equal(exit.exitStatus, 0);
    assert.deepEqual(lines, ["1000"]);
    const root = await run(scratch, "echo hi > /new; cat /new", { rootfs });
    assert.deepEqual(root.lines, ["hi"]);
    assert.equal(await readFile(join(scratch.path, "upper/new"), "utf8"), "hi\n");
    await assert.rejects(access(join(scratch.root, "new")), { code: "ENOENT" });
  });

  testRun("stops the container when its signal aborts", async (scratch) => {
    const ready = await scratch.directory("ready");
    const volumes = [
      { source: ready, target: "/ready", readonly: false, propagation: "rprivate", recursive: true },
    ];
    const controller = new AbortController();
    const running = run(
      scratch,
      "trap 'echo stopping > /ready/end; exit 0' USR1; touch /ready/up; while :; do sleep 0.05; done",
      {
        volumes,
        config: imageOf({ StopSignal: "SIGUSR1" }),
        signal: controller.signal,
      },
    );
    await fileAt(join(ready, "up"));
    controller.abort(new Error("enough"));
    await assert.rejects(running, { message: "enough" });
    assert.equal(await readFile(join(ready, "end"), "utf8"), "stopping\n");
  });

  testRun("kills a container that does not stop in time", async (scratch) => {
    const ready = await scratch.directory("ready");
    const volumes = [
      { source: ready, target: "/ready", readonly: false, propagation: "rprivate", recursive: true },
    ];
    const controller = new AbortController();
    const running = run(scratch, "trap '' TERM; touch /ready/up; while :; do sleep 0.05; done", {
      volumes,
      signal: controller.signal,
      stopTimeoutMs: 0,
    });
    await fileAt(join(ready, "up"));
    controller.abort(new Error("enough"));
    await assert.rejects(running, { message: "enough" });
  });

  async function runIn(scratch: Scratch, options: RunContainerOptions): Promise<Run> {
    using output = new Output(scratch.path);
    const path = runtime === "crun" ? await crunPath(scratch.path) : options.host.path;
    const exit = await runContainer({ ...options, host: { ...options.host, path }, stdio: output.stdio });
    return { exit, lines: await output.lines(), errors: await output.errors() };
  }
}

/** Resolves when a container has made a file. */
async function fileAt(path: string): Promise<void> {
  for (;;) {
    const there = await access(path).then(
      () => true,
      () => false,
    );
    if (there) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
