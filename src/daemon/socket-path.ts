/**
 * How long the path of a unix socket may be.
 *
 * @module
 */

/** Bytes: the kernel's 108 (`sun_path`) without the NUL at the end. */
export const MAX_SOCKET_PATH = 107;
