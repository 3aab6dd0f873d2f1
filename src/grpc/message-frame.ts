/**
 * A message of gRPC on its way through a stream.
 *
 * | offset | bytes | content                                            |
 * | ------ | ----- | -------------------------------------------------- |
 * | 0      | 1     | whether it is compressed: here never, so 0         |
 * | 1      | 4     | size of the message, big-endian                    |
 * | 5      | size  | the message                                        |
 *
 * Source: `PROTOCOL-HTTP2.md` of grpc, Length-Prefixed-Message.
 *
 * @module
 */
import { Code, ConnectError } from "@connectrpc/connect";
import { MAX_MESSAGE_BYTES } from "./limits.ts";

const HEADER_BYTES = 5;

/**
 * Puts a message into its frame.
 *
 * @throws {ConnectError} `RESOURCE_EXHAUSTED` for one that is too long.
 */
export function encodeFrame(message: Uint8Array): Uint8Array {
  checkSize(message.length);
  const frame = Buffer.allocUnsafe(HEADER_BYTES + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, HEADER_BYTES);
  return frame;
}

/** Takes the one message of a request out of its frame, in whatever pieces it comes. */
export class FrameDecoder {
  readonly #pieces: Uint8Array[] = [];
  #received = 0;
  /** Of the frame; unknown before its header is there. */
  #size: number | undefined;

  /**
   * Takes a piece, which is kept: nobody may change it.
   *
   * @throws {ConnectError} `RESOURCE_EXHAUSTED` for a message that is too long, before it is there; `UNIMPLEMENTED` for one that
   * is compressed, or for more than one.
   */
  push(piece: Uint8Array): void {
    this.#pieces.push(piece);
    this.#received += piece.length;
    this.#size ??= this.#readSize();
    if (this.#size !== undefined && this.#received > this.#size)
      throw new ConnectError("expected one message, got more", Code.Unimplemented);
  }

  /** The message, when no more pieces come. @throws {ConnectError} `UNIMPLEMENTED` without one; `INTERNAL` for a part of one. */
  end(): Uint8Array {
    if (this.#received === 0) throw new ConnectError("expected a message, got none", Code.Unimplemented);
    if (this.#received !== this.#size) throw new ConnectError("expected a whole message", Code.Internal);
    const [only] = this.#pieces;
    const frame = only?.length === this.#size ? only : Buffer.concat(this.#pieces);
    // Not a Buffer, whose methods do other things than those of an array.
    return new Uint8Array(frame.buffer, frame.byteOffset + HEADER_BYTES, frame.length - HEADER_BYTES);
  }

  #readSize(): number | undefined {
    if (this.#received < HEADER_BYTES) return undefined;
    const [first] = this.#pieces;
    const header = Buffer.concat(
      first !== undefined && first.length >= HEADER_BYTES ? [first.subarray(0, HEADER_BYTES)] : this.#pieces,
    );
    if (header[0] !== 0) throw new ConnectError("compressed messages are not taken", Code.Unimplemented);
    const size = header.readUInt32BE(1);
    checkSize(size);
    return HEADER_BYTES + size;
  }
}

function checkSize(size: number): void {
  if (size <= MAX_MESSAGE_BYTES) return;
  const text = `expected a message of at most ${MAX_MESSAGE_BYTES} bytes, got ${size}`;
  throw new ConnectError(text, Code.ResourceExhausted);
}
