/**
 * How much one message, one connection may hold.
 *
 * @module
 */

/** The longest message in either direction, in bytes: what containerd and BuildKit allow their snapshotters. */
export const MAX_MESSAGE_BYTES: number = 16 * 1024 * 1024;

/** Memory of one HTTP/2 session, in MiB: two messages at once and room to breathe. */
export const SESSION_MEMORY_MIB = 40;

/** What a stream may receive before its reader has looked, in bytes. */
export const WINDOW_BYTES: number = 1024 * 1024;
