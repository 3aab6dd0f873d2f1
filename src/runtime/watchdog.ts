/**
 * Taking a container away when the process that started it is killed.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { ContainerDirectory } from "./container-directory.ts";

/**
 * The words `process PID` and `done` come in. If they end without `done`, nobody is there any more: the container is
 * killed, and what is left of it removed.
 */
const SCRIPT = `
directory=$1 id=$2 runtime=$3 launcher=
while read -r word value; do
  case $word in
    process) launcher=$value ;;
    done) exit 0 ;;
  esac
done
pid= tries=0
# A runtime that is killed in the middle of creating leaves a cgroup: it gets a moment to come to the container.
while [ -n "$launcher" ] && [ ! -s "$directory/pid" ] && kill -0 "$launcher" && [ "$tries" -lt 30 ]; do
  sleep 0.1 || sleep 1
  tries=$((tries + 1))
done
[ ! -e "$directory/pid" ] || read -r pid < "$directory/pid" || :
if [ -n "$pid" ]; then
  kill -KILL "$pid"
  tries=0
  while [ -n "$launcher" ] && kill -0 "$launcher" && [ "$tries" -lt 50 ]; do
    sleep 0.1 || sleep 1
    tries=$((tries + 1))
  done
fi
[ -z "$launcher" ] || kill -KILL "$launcher"
[ -z "$runtime" ] || "$runtime" --root "$directory/state" delete --force "$id"
rmdir "$directory/rootfs" && rm -rf "$directory"
`;

/** A process that waits for the death of this one. Disposing ends it without effect. */
export class Watchdog implements AsyncDisposable {
  readonly #child: ReturnType<typeof spawn>;
  readonly #ended: Promise<unknown>;

  private constructor(child: ReturnType<typeof spawn>) {
    this.#child = child;
    this.#ended = once(child, "exit").catch(() => undefined);
    // It may be gone; the container runs all the same.
    child.stdin?.on("error", () => undefined);
  }

  /** Starts to wait. `runtime` is asked to delete the container, if there is one. */
  static start(
    directory: ContainerDirectory,
    programs: { readonly sh: string; readonly runtime: string | undefined; readonly path: string },
  ): Watchdog {
    const parameters = ["-c", SCRIPT, "esgz-watchdog", directory.path, directory.id, programs.runtime ?? ""];
    return new Watchdog(
      spawn(programs.sh, parameters, {
        // In a session of its own: the terminal's signals are not for it.
        detached: true,
        cwd: "/",
        stdio: ["pipe", "ignore", "ignore"],
        env: { PATH: programs.path },
      }),
    );
  }

  /** Tells which process is to be killed too. */
  watch(pid: number): void {
    this.#child.stdin?.write(`process ${pid}\n`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin?.end("done\n");
    await this.#ended;
  }
}
