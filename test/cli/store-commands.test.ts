/**
 * The commands that use a store, as a user runs them: pull, mount, run, and what tells of them.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { after, before, test, type TestContext } from "node:test";
import type { CommandResult } from "./command-line.fixture.ts";
import { missingForStore, StoreShell } from "./store.fixture.ts";

const HELLO = "hello from the image\n";
const commands = new StoreShell();
before(async () => {
  if (missingForStore === undefined) await commands.open();
});
after(() => commands[Symbol.asyncDispose]());

/** A test that needs what {@link missingForStore} names. */
function storeTest(name: string, work: (t: TestContext) => Promise<void>): void {
  test(name, async (t) => {
    if (missingForStore !== undefined) return t.skip(missingForStore);
    await work(t);
  });
}

storeTest("commands that only look make no store and start no daemon", async () => {
  for (const [args, stdout] of [
    [["images"], ""],
    [["df", "--json"], undefined],
    [["prune"], "freed 0 B\n"],
    [["top"], "nothing is mounted\n"],
    [["daemon", "--stop"], `no daemon serves ${commands.store}\n`],
  ] as const) {
    const result = await commands.run(args);
    assert.equal(result.status, 0, result.stderr);
    if (stdout !== undefined) assert.equal(result.stdout, stdout);
  }
  assert.equal(existsSync(commands.store), false);
});

storeTest("esgz mount shows an image of which nothing is here, esgz umount takes it away", async () => {
  const directory = commands.directory("root");
  const mounted = await commands.run([
    "mount",
    commands.image,
    directory,
    "--no-background",
    "--no-prefetch",
  ]);
  assert.equal(mounted.status, 0, mounted.stderr);
  assert.match(mounted.stderr, /^index loaded in \d+\.\d\ds \(2 layers, 2 lazy, /m);
  assert.match(mounted.stdout, /^mounted .*test\/box:1 at .*\/root in \d/);
  assert.equal(readFileSync(join(directory, "data/hello"), "utf8"), HELLO);

  const top = await commands.run(["top", directory, "--json"]);
  const [status] = JSON.parse(top.stdout) as {
    presentBytes: number;
    totalBytes: number;
    writable: boolean;
  }[];
  assert.equal(status !== undefined && status.presentBytes < status.totalBytes, true, top.stdout);
  assert.match((await commands.run(["top"])).stdout, /^MOUNT +IMAGE/);
  assert.match((await commands.run(["images"])).stdout, /test\/box:1 .* mounted$/m);
  const kept = await commands.run(["prune", "--all"]);
  assert.equal(kept.status, 0, kept.stderr);
  assert.equal(readFileSync(join(directory, "data/hello"), "utf8"), HELLO);

  const gone = await commands.run(["umount", directory]);
  assert.equal(gone.stdout, `unmounted ${directory}\n`, gone.stderr);
  assert.deepEqual(readdirSync(directory), []);
});

storeTest("esgz mount --rw keeps changes off the image", async () => {
  const directory = commands.directory("writable");
  const mounted = await commands.run(["mount", "--rw", commands.image, directory, "--json"]);
  assert.equal(mounted.status, 0, mounted.stderr);
  writeFileSync(join(directory, "data/hello"), "changed");
  assert.equal(readFileSync(join(directory, "data/hello"), "utf8"), "changed");
  const ended = await commands.run(["umount", "--all"]);
  assert.equal(ended.status, 0);
  const kept = /^what was changed in .*\/writable is kept in (.*) until `esgz prune`$/m.exec(
    ended.stderr,
  )?.[1];
  assert.equal(readFileSync(join(kept ?? "", "data/hello"), "utf8"), "changed");
  const again = await commands.run(["mount", commands.image, directory]);
  assert.equal(again.status, 0, again.stderr);
  assert.equal(readFileSync(join(directory, "data/hello"), "utf8"), HELLO);
  assert.equal((await commands.run(["umount", directory, "--lazy"])).status, 0);
});

storeTest("esgz run gives a container the usual umask, whatever its own is", async () => {
  const words = ["-c", 'umask 077; exec "$@"', "sh", process.execPath, resolve("bin/esgz.js")];
  const run = ["run", "--rm", "--store", commands.store, "-w", "/made/here", commands.image];
  const { status, stdout, stderr } = spawnSync("sh", [...words, ...run, "sh", "-c", "umask; ls -ld ."], {
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^0022\ndrwxr-xr-x /);
});

storeTest("esgz umount tells of each mount, and takes those away first that lie on others", async () => {
  const lower = commands.directory("nested");
  const inner = join(lower, "data");
  for (const directory of [lower, inner])
    assert.equal((await commands.run(["mount", commands.image, directory])).status, 0);
  const free = commands.directory("free");
  assert.equal((await commands.run(["mount", commands.image, free])).status, 0);

  const refused = await commands.run(["umount", lower, free]);
  assert.equal(refused.status, 1);
  assert.equal(refused.stdout, `unmounted ${free}\n`);
  assert.equal(
    refused.stderr,
    `esgz: Cannot unmount "${lower}": expected nobody to use it, got what is mounted at "${inner}" (MOUNT_FAILED)\n`,
  );
  const all = await commands.run(["umount", "--all"]);
  assert.equal(all.status, 0, all.stderr);
  assert.equal(all.stdout, `unmounted ${inner}\nunmounted ${lower}\n`);
});

storeTest("esgz run --json says as JSON why a container did not start", async () => {
  const missing = await commands.run(["run", "--rm", "--json", commands.image, "no-such-program"]);
  assert.equal(missing.status, 127, missing.stderr);
  const last = missing.stderr.trimEnd().split("\n").at(-1) ?? "";
  const { error } = JSON.parse(last) as { error: { code: string; status: number } };
  assert.equal(error.code, "RUNTIME_FAILED");
  assert.equal(error.status, 127);
});

storeTest(
  "esgz pull fills the store; mount needs no registry then, and df, rm and prune tell the truth",
  async () => {
    await using own = await new StoreShell().open();
    const pulled = await own.run(["pull", own.image]);
    assert.equal(pulled.status, 0, pulled.stderr);
    assert.match(pulled.stderr, /^index loaded in /m);
    assert.match(pulled.stderr, /^100% {2}/m);
    assert.match(pulled.stdout, /^sha256:[0-9a-f]{64}\npulled .*test\/box:1 in /);
    const usage = JSON.parse((await own.run(["df", "--json"])).stdout) as { layers: { images: string[] }[] };
    assert.deepEqual(
      usage.layers.map(({ images }) => images.length),
      [1, 1],
    );
    const directory = own.directory("root");
    const mounted = await own.run(["mount", own.image, directory, "--json"]);
    assert.equal((JSON.parse(mounted.stdout) as { method: string }).method, "local");
    assert.equal((await own.run(["umount", directory])).status, 0);
    assert.match((await own.run(["images"])).stdout, /100%/);
    assert.equal((await own.run(["rm", own.image])).status, 0);
    assert.equal((await own.run(["rm", own.image])).status, 3);
    assert.match((await own.run(["prune"])).stdout, /^(?:removed layer \S+\n){2}freed \d/);
    assert.match((await own.run(["df"])).stdout, /in 0 layers/);
  },
);

storeTest("an image that has no index to choose a platform from says which one it is for", async () => {
  const pulled = await commands.run(["pull", commands.image, "--platform", "linux/s390x"]);
  assert.equal(pulled.status, 0, pulled.stderr);
  assert.match(pulled.stderr, /^the image is for linux\/\w+, not for linux\/s390x: it has no index/m);
  const fitting = await commands.run(["pull", commands.image]);
  assert.doesNotMatch(fitting.stderr, /the image is for/);
  const foreign = await commands.run(["pull", commands.foreignImage("riscv64")]);
  assert.match(foreign.stderr, /^the image is for linux\/riscv64, not for linux\/\w+: it has no index/m);
});

storeTest(
  "esgz mount --pull missing asks no registry for what is here, and says what cannot be asked for",
  async () => {
    await using own = await new StoreShell().open();
    const directory = own.directory("root");
    const mount = async (...flags: readonly string[]): Promise<CommandResult> =>
      await own.run(["mount", ...flags, own.image, directory]);
    assert.equal((await own.run(["pull", own.image])).status, 0);
    assert.equal((await own.run(["pull", "--index-only", "--start-only", own.image])).status, 2);
    await own.stopRegistry();
    const mounted = await mount("--pull", "missing");
    assert.equal(mounted.status, 0, mounted.stderr);
    assert.doesNotMatch(mounted.stderr, /registry/);
    assert.equal(readFileSync(join(directory, "data/hello"), "utf8"), HELLO);
    assert.equal((await own.run(["umount", directory])).status, 0);
    const ran = await own.run(["run", "--rm", "--pull=missing", own.image, "cat", "/data/hello"]);
    assert.equal(ran.stdout, HELLO, ran.stderr);
    assert.doesNotMatch(ran.stderr, /this is the image that the store has/);
    const asked = await mount();
    assert.match(asked.stderr, /this is the image that the store has$/m);
    assert.equal((await mount("--pull", "never")).status, 2);
    assert.match(
      (await own.run(["mount", "", directory])).stderr,
      /^esgz: Cannot use image "": expected a name/,
    );
  },
);

storeTest("esgz pull says why a layer travels whole", async () => {
  const pulled = await commands.run(["pull", `${commands.registry}/test/box:plain`]);
  assert.equal(pulled.status, 0, pulled.stderr);
  assert.match(pulled.stderr, /^layer 0 travels whole: /m);
});

storeTest("esgz doctor says that the daemon is another user's", async (t) => {
  // Whatever came before: a daemon runs then.
  const directory = commands.directory("of-root");
  const mounted = await commands.run(["mount", commands.image, directory, "--no-background"]);
  assert.equal(mounted.status, 0, mounted.stderr);
  const entry = join(import.meta.dirname, "../../bin/esgz.js");
  const nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
  const args = [...nobody, process.execPath, entry, "doctor", "--json", "--store", commands.store];
  const { status, stdout, stderr } = spawnSync("setpriv", args, { encoding: "utf8", env: { HOME: "/" } });
  assert.equal((await commands.run(["umount", directory])).status, 0);
  if (status !== 0) return t.skip(`another user cannot run this checkout: ${stderr.slice(0, 200)}`);
  const { machine } = JSON.parse(stdout) as { machine: { name: string; state: string; detail: string }[] };
  const daemon = machine.find(({ name }) => name === "daemon");
  assert.equal(daemon?.state, "limited", stdout);
  assert.match(daemon?.detail ?? "", /another user/);
});

storeTest("esgz doctor tells layer by layer what can be lazy, without a daemon", async () => {
  const store = join(commands.shell.directory, "no-store");
  const lazy = await commands.run(["doctor", commands.image, "--store", store]);
  assert.equal(lazy.status, 0, lazy.stderr);
  assert.match(lazy.stdout, /^lazy mounts +(?:ok|limited) /m);
  assert.match(lazy.stdout, /^daemon +- +none serves /m);
  assert.match(lazy.stdout, /2 of 2 layers lazy\n$/);
  const plain = await commands.run(["doctor", `${commands.registry}/test/box:plain`, "--store", store]);
  assert.match(plain.stdout, /layer 1 .* whole +\S/);
  assert.equal(existsSync(store), false);
});

storeTest("esgz run gives the command's output and status, and leaves nothing mounted", async () => {
  const ran = await commands.run(["run", "--rm", commands.image]);
  assert.deepEqual([ran.status, ran.stdout], [0, HELLO], ran.stderr);
  const failed = await commands.run([
    "run",
    "--rm",
    commands.image,
    "sh",
    "-c",
    "echo x >/data/hello; exit 7",
  ]);
  assert.equal(failed.status, 7, failed.stderr);
  const missing = await commands.run(["run", "--rm", commands.image, "no-such-program"]);
  assert.equal(missing.status, 127, missing.stderr);
  assert.deepEqual(mountsOfRuns(), []);
});

storeTest("esgz run passes signals on, and takes its mount away when it is killed itself", async () => {
  const script = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done";
  for (const [signal, end] of [
    ["SIGTERM", [9, null]],
    ["SIGKILL", [null, "SIGKILL"]],
  ] as const) {
    const { line, child } = await commands.start(["run", "--rm", commands.image, "sh", "-c", script]);
    assert.equal(line, "ready");
    const ended = once(child, "exit");
    child.kill(signal);
    assert.deepEqual(await ended, end);
    // The daemon looks after owners every second.
    while (mountsOfRuns().length + readdirSync(join(commands.store, "mounts")).length > 0) await sleep(50);
  }
});

storeTest("a container that runs keeps its files: its mount and the daemon end only by force", async () => {
  await using own = await new StoreShell().open();
  const script = "echo ready; until [ -e /in/go ]; do sleep 0.1; done; cat /data/large >/in/copy";
  const shared = own.directory("shared");
  const { line, child } = await own.start(
    // prettier-ignore
    ["run", "--rm", "-q", "--no-prefetch", "--no-background", "-v", `${shared}:/in`, own.image, "sh", "-c", script],
  );
  assert.equal(line, "ready");
  const ended = once(child, "exit");
  try {
    for (const [args, code] of [
      [["umount", "--all"], /MOUNT_FAILED/],
      [["daemon", "--stop"], /PRECONDITION_FAILED/],
    ] as const) {
      const refused = await own.run(args);
      assert.equal(refused.status, 1, refused.stderr);
      assert.match(refused.stderr, code);
    }
  } finally {
    writeFileSync(join(shared, "go"), "");
  }
  assert.deepEqual(await ended, [0, null]);
  assert.equal(readFileSync(join(shared, "copy"), "latin1"), "0123456789abcdef".repeat((3 << 20) / 16));
  assert.equal((await own.run(["daemon", "--stop"])).status, 0);
  assert.deepEqual(own.mounts(), []);
});

storeTest("esgz umount takes the names that esgz mount took, links too", async () => {
  const directory = commands.directory("linked");
  const link = join(commands.shell.directory, "link");
  symlinkSync(directory, link);
  for (const name of [link, `${link}/`]) {
    assert.equal((await commands.run(["mount", "-q", commands.image, name])).status, 0);
    const gone = await commands.run(["umount", name]);
    assert.equal(gone.stdout, `unmounted ${directory}\n`, gone.stderr);
  }
});

/** Mounts of the store that are no files for other mounts. */
function mountsOfRuns(): readonly string[] {
  return commands.mounts().filter((path) => !path.endsWith("/store/fuse"));
}

storeTest(
  "esgz run passes on flags: variables, directory, user, volume, host name, standard input",
  async () => {
    const shared = commands.directory("shared");
    const script = "echo $A $FROM_IMAGE; pwd; id -u; hostname; cat /in/file; cat; touch /in/new";
    writeFileSync(join(shared, "file"), "from the machine\n");
    const ran = await commands.run(
      // prettier-ignore
      ["run", "--rm", "-i", "-e", "A=1", "-w", "/tmp", "-u", "worker", "-v", `${shared}:/in:ro`, "--hostname", "box",
      "--network", "none", commands.image, "sh", "-c", script, "--json", "-q"],
      { input: "typed\n" },
    );
    assert.equal(ran.stdout, "1 yes\n/tmp\n1234\nbox\nfrom the machine\ntyped\n", ran.stderr);
    assert.notEqual(ran.status, 0);
    assert.equal(existsSync(join(shared, "new")), false);
  },
);

storeTest("esgz run keeps changes without --rm and names them, until esgz prune", async () => {
  const ran = await commands.run(["run", commands.image, "sh", "-c", "echo kept >/data/new"]);
  assert.equal(ran.status, 0, ran.stderr);
  const upper = /changes are kept in (\S+) until/.exec(ran.stderr)?.[1] ?? "";
  assert.equal(readFileSync(join(upper, "data/new"), "utf8"), "kept\n");
  const pruned = await commands.run(["prune"]);
  assert.equal(pruned.status, 0, pruned.stderr);
  assert.equal(existsSync(upper), false);
});

storeTest(
  "esgz run --read-only makes places for volumes, lets nothing be written and keeps nothing",
  async () => {
    const shared = commands.directory("shared-read-only");
    writeFileSync(join(shared, "file"), "from the machine\n");
    const script = "cat /not/there/file; touch /new || touch /data/new";
    const ran = await commands.run(
      // prettier-ignore
      ["run", "--read-only", "-v", `${shared}:/not/there`, commands.image, "sh", "-c", script],
    );
    assert.deepEqual([ran.status, ran.stdout], [1, "from the machine\n"], ran.stderr);
    assert.doesNotMatch(ran.stderr, /changes are kept/);
  },
);

storeTest("esgz daemon --stop ends when the daemon has, also if its parent does not ask how", async () => {
  const store = commands.directory("store-of-a-zombie");
  const script = '"$0" "$@" & exec sleep 1000';
  const words = [
    process.execPath,
    resolve(import.meta.dirname, "../../bin/esgz.js"),
    "daemon",
    "--store",
    store,
  ];
  const parent = spawn("sh", ["-c", script, ...words], { stdio: ["ignore", "ignore", "pipe"] });
  try {
    // Its log: it serves.
    await once(parent.stderr, "data");
    const stopped = await commands.run(["daemon", "--stop", "--store", store]);
    assert.deepEqual(
      [stopped.status, stopped.stdout],
      [0, `stopped the daemon of ${store}\n`],
      stopped.stderr,
    );
  } finally {
    parent.kill("SIGKILL");
  }
});

storeTest("esgz mount shows images as the daemon is configured, or as it is told", async () => {
  const store = commands.directory("store-of-trees");
  const [config, directory] = [join(store, "config.toml"), commands.directory("tree")];
  writeFileSync(config, '[mounts]\nview = "tree"\n');
  const child = commands.shell.begin(["daemon", "--store", store, "--config", config]);
  await once(child.stderr ?? child, "data");
  for (const [flags, method] of [
    [[], "tree"],
    [["--view", "auto"], undefined],
  ] as const) {
    const words = ["mount", commands.image, directory, "--store", store, "--json", ...flags];
    const mounted = await commands.run(words);
    const found = JSON.parse(mounted.stdout) as { readonly method: string };
    if (method === undefined) assert.notEqual(found.method, "tree");
    else assert.equal(found.method, method);
    const ended = await commands.run(["umount", directory, "--store", store]);
    assert.equal(ended.status, 0, ended.stderr);
  }
  await commands.run(["daemon", "--stop", "--store", store]);
});

storeTest("a command that fails leaves nothing mounted and says what to do", async () => {
  const before = mountsOfRuns();
  const nothing = commands.directory("nothing");
  const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
    [["mount", `${commands.registry}/test/box:none`, nothing], 3, /REGISTRY_NOT_FOUND/],
    [["mount", commands.image, join(nothing, "not-there")], 2, /mkdir -p/],
    [["mount", commands.image, "/proc"], 2, /does not cover/],
    [["mount", commands.image, commands.shell.directory], 2, /does not cover/],
    [["umount", nothing], 3, /esgz top --once/],
    [["umount"], 2, /--all/],
    [["run", "--rm", `${commands.registry}/test/box:none`], 125, /REGISTRY_NOT_FOUND/],
    [["run", "--rm", "-v", "nowhere", commands.image], 2, /HOST:CONTAINER/],
    [["run", "--rm", "-w", "relative", `${commands.registry}/test/box:none`], 2, /an absolute path/],
    [["run", "--rm", "-e", "a b=c", commands.image], 2, /NAME=value/],
    [["run", "--rm", "-u", "nobody-here", commands.image], 125, /nobody-here/],
    [["pull", commands.image, "--connections", "3"], 2, /--to/],
    [["pull", "127.0.0.1:1/x:y"], 6, /NETWORK_FAILED/],
    [["daemon", "--force"], 2, /--stop/],
    [["daemon"], 2, /ALREADY_EXISTS/],
  ];
  for (const [args, status, message] of cases) {
    const result = await commands.run(args);
    assert.equal(result.status, status, `${args.join(" ")}: ${result.stderr}`);
    assert.match(result.stderr, message);
    assert.doesNotMatch(result.stderr, /\n {4}at /);
  }
  assert.deepEqual(mountsOfRuns(), before);
});

storeTest("esgz daemon --stop ends the daemon; the next command starts another", async () => {
  const stopped = await commands.run(["daemon", "--stop", "--json"]);
  assert.equal(stopped.status, 0, stopped.stderr);
  assert.deepEqual(JSON.parse(stopped.stdout), { store: commands.store, stopped: true });
  assert.deepEqual(commands.mounts(), []);
  assert.match((await commands.run(["images"])).stdout, /test\/box:1/);
});
