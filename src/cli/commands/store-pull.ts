/**
 * `esgz pull` without a target: fills the store.
 *
 * @module
 */
import type { Command } from "commander";
import type { PullRequest, PullResult } from "../../daemon/index.ts";
import type { CommandContext } from "../command-context.ts";
import { openDaemon } from "../daemon-access.ts";
import { formatBytes, formatCount, formatDuration } from "../format.ts";
import { createEventView } from "../show-control-events.ts";

/** Has the daemon fetch an image into the store, and shows how it goes. */
export async function pullToStore(
  context: CommandContext,
  command: Command,
  request: PullRequest,
): Promise<void> {
  const { environment } = context;
  await using daemon = await openDaemon(environment, command);
  const board = context.board();
  try {
    const onEvent = createEventView(board);
    const result = await daemon.pull(request, { onEvent, signal: environment.signal });
    board.finish();
    await context.print(result, describePull(result));
  } finally {
    board.finish();
  }
}

function describePull({ name, manifest, fetchedBytes, copiedBytes, requests, seconds }: PullResult): string {
  const copied = copiedBytes > 0 ? `, ${formatBytes(copiedBytes)} copied from other layers` : "";
  const times = `in ${formatDuration(seconds.total * 1000)} (index ${formatDuration(seconds.index * 1000)})`;
  return [
    manifest,
    `pulled ${name} ${times}`,
    `${formatBytes(fetchedBytes)} in ${formatCount(requests, "request")}${copied}`,
    "",
  ].join("\n");
}
