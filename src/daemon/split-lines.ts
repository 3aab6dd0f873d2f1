/**
 * Lines of a stream of bytes.
 *
 * @module
 */
import { decodeUtf8 } from "../bytes/index.ts";

const NEWLINE = 10;
/** More than any event: a peer that sends no newline must not fill the memory. */
const MAX_LINE_BYTES = 16 << 20;

/**
 * The lines of a UTF-8 stream, without their newlines. Bytes after the last newline are no line.
 *
 * @throws {RangeError} for a line of more than 16 MiB.
 */
export async function* splitLines(stream: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let rest: Uint8Array = new Uint8Array();
  for await (const chunk of stream) {
    let bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE)) {
      yield decodeUtf8(bytes.subarray(0, end));
      bytes = bytes.subarray(end + 1);
    }
    if (bytes.length > MAX_LINE_BYTES) throw new RangeError("expected a line, got more than 16 MiB");
    rest = bytes;
  }
}
