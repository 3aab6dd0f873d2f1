/**
 * Five minutes in which the server is killed every two seconds: no reader sees an error, every byte is right.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { PLATFORM } from "../../src/lazyfs/image.fixture.ts";
import { formatPlatform } from "../../src/oci/index.ts";
import { daemonModule } from "./daemon-module.ts";
import { descriptorsOf } from "../kernel/daemon-leftovers.ts";
import { serveSampleFiles, temporaryDaemonStore } from "../kernel/daemon-setup.ts";
import { hasKernel, missingFuse } from "../kernel/fuse-mounts.ts";
import { killAgainAndAgain, ReadLoad } from "../kernel/kill-load.ts";

const EVERY_MS = 2000;
/** `ESGZ_SOAK_MINUTES` says otherwise. */
const MINUTES = Number(process.env["ESGZ_SOAK_MINUTES"] ?? 5);
const READERS = 6;

for (const view of ["auto", "tree"] as const) {
  test(`the server is killed every 2 s for ${MINUTES} minutes under readers (${view})`, async (t) => {
    const reason = missingFuse() ?? (hasKernel(6, 9) ? undefined : "needs Linux 6.9");
    if (reason !== undefined) return t.skip(reason);
    const store = await temporaryDaemonStore(t);
    const { image, contents } = await serveSampleFiles(t, { files: 200, size: 400_000 });
    const { connectDaemon } = await daemonModule();
    await using client = await connectDaemon({ store: store.root, start: { idleExitMs: 600_000 } });
    const directory = store.directory("mnt");
    const platform = formatPlatform(PLATFORM);
    await client.mount({ reference: image.name, platform, directory, view });
    const { holderPid } = await client.info();
    const before = descriptorsOf(holderPid);
    await using load = new ReadLoad(directory, { contents, readers: READERS });
    await killAgainAndAgain(client, { kills: (MINUTES * 60_000) / EVERY_MS, everyMs: EVERY_MS });
    const { failures, wrong, files } = await load.end();
    t.diagnostic(`${files} files were read`);
    // What the daemon says of it goes away with the store.
    if (failures > 0) {
      const said = store
        .log()
        .split("\n")
        .filter((text) => /"level":[456]0/.test(text));
      t.diagnostic(
        said
          .filter((text) => !/the server died|verified/.test(text))
          .slice(0, 40)
          .join("\n"),
      );
    }
    assert.deepEqual({ failures, wrong }, { failures: 0, wrong: [] });
    assert.equal(descriptorsOf(holderPid), before);
  });
}
