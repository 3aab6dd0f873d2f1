/**
 * Something large, brought over as many connections as the link has room for.
 *
 * One connection may be slow where several are not; and where the link is slow, each one more is in the way of whoever waits.
 *
 * @module
 */
import type { Clock } from "../async/index.ts";
import type { ByteRange } from "../blob/index.ts";

/** How to bring pieces. */
export interface BringPiecesOptions {
  readonly clock: Pick<Clock, "nowMs">;
  /** Of a range with more bytes nothing more is brought where the link is slow: that is left to those who read it. */
  readonly mostWhenSlow?: number | undefined;
  /** Resolves when a piece is there. */
  readonly bring: (piece: ByteRange) => Promise<unknown>;
}

const PIECE = 8 << 20;
const MOST_LANES = 8;
/** A piece takes longer where the link is slow. */
const FAST_MS = 500;

/**
 * Brings a range piece by piece, in order: one at first, and one more at once with each that came fast; one at a time from the first
 * on that did not.
 *
 * @throws what `bring` throws, when all that was begun has ended
 */
export async function bringPieces({ offset, size }: ByteRange, options: BringPiecesOptions): Promise<void> {
  const { clock, bring, mostWhenSlow = Infinity } = options;
  const end = offset + size;
  const lanes: Promise<void>[] = [];
  let next = offset;
  let running = 0;
  let isSlow = false;
  let failure: { readonly error: unknown } | undefined;
  const begin = (): void => {
    running += 1;
    lanes.push(runLane());
  };
  const mayGoOn = (): boolean =>
    next < end && failure === undefined && !(isSlow && (running > 1 || size > mostWhenSlow));
  const runLane = async (): Promise<void> => {
    try {
      do {
        const piece = { offset: next, size: Math.min(PIECE, end - next) };
        next += piece.size;
        const startMs = clock.nowMs();
        await bring(piece);
        isSlow ||= clock.nowMs() - startMs > FAST_MS;
        if (!isSlow && running < MOST_LANES && mayGoOn()) begin();
      } while (mayGoOn());
    } catch (error) {
      failure ??= { error };
    } finally {
      running -= 1;
    }
  };
  if (size > 0) begin();
  // There may be more of them meanwhile.
  for (const lane of lanes) await lane;
  if (failure !== undefined) throw failure.error;
}
