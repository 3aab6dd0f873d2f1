/**
 * Ends what must not outlive the process: a process does not exit while one of its threads sits in a system call.
 *
 * @module
 */

const stops = new Set<() => void>();

function stopAll(): void {
  for (const stop of stops) stop();
}

/** Has something stopped when the process exits; one listener serves all. Returns what takes that back. */
export function stopAtExit(stop: () => void): () => void {
  if (stops.size === 0) process.on("exit", stopAll);
  stops.add(stop);
  return () => {
    stops.delete(stop);
    if (stops.size === 0) process.removeListener("exit", stopAll);
  };
}
