/**
 * The floor: curl fetches what a lazy start reads, and nothing waits for anything.
 *
 * @module
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { esgzCommand } from "../esgz-command.ts";
import { startEsgzDaemon } from "../esgz-daemon.ts";
import type { HarborRequestRecord } from "../harbor/index.ts";
import { type Contender, measureUntil } from "../measure/index.ts";
import { withScratch } from "../scratch.ts";
import { type Place, startContender } from "./start-contender.ts";
import { joinRanges } from "./join-ranges.ts";

/** Starts the image once, without a background fill, and tells what it fetched, with ranges that touch joined. */
export async function recordNeeded(place: Place): Promise<readonly HarborRequestRecord[]> {
  return await withScratch(async (scratch) => {
    const { store } = await startEsgzDaemon(scratch);
    await place.harbor.takeRequests();
    const flags = ["-q", "--rm", "--network", "none", "--no-background", "--store", store];
    let needed: readonly HarborRequestRecord[] = [];
    const run = esgzCommand("run", ...flags, `${place.name}:esgz`, ...place.recipe.command);
    await measureUntil(run, {
      ready: place.recipe.ready,
      onReady: async () => {
        needed = joinRanges(await place.harbor.takeRequests());
      },
    });
    return needed;
  });
}

/** Fetches it with so many connections. */
export function floorContender(
  place: Place,
  { needed, connections }: { readonly needed: readonly HarborRequestRecord[]; readonly connections: number },
): Contender {
  const plural = connections === 1 ? "" : "s";
  const name = `curl of the needed bytes, ${connections} connection${plural}`;
  return startContender(name, place, async (scratch) => {
    const config = join(scratch.directory, "curl.conf");
    writeFileSync(config, curlConfig(needed, { host: place.name.split("/")[0] ?? "", connections }));
    return {
      daemons: [],
      start: (onReady) => measureUntil(["curl", "-q", "--config", config], { onReady }),
    };
  });
}

const MANIFESTS = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.oci.image.manifest.v1+json",
].join(", ");

/** A configuration file of curl, see `curl --help config`. */
function curlConfig(
  needed: readonly HarborRequestRecord[],
  { host, connections }: { readonly host: string; readonly connections: number },
): string {
  const head = connections === 1 ? "" : `parallel\nparallel-immediate\nparallel-max = ${connections}\n`;
  const requests = needed.map(({ url, range }) =>
    [
      `url = "http://${host}${url}"`,
      `output = "/dev/null"`,
      "silent\nshow-error\nfail",
      url.includes("/manifests/") ? `header = "Accept: ${MANIFESTS}"` : "",
      range === undefined ? "" : `range = "${range.replace(/^bytes=/, "")}"`,
    ]
      .filter((line) => line !== "")
      .join("\n"),
  );
  return `${head}${requests.join("\nnext\n")}\n`;
}
