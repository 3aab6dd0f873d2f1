/**
 * For tests: a process that asks something of its own FUSE mount, reads its question, and does not answer.
 */
import { readSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { beginSession, mountFuse } from "../../src/fuse/index.ts";

const [target = ""] = process.argv.slice(2);
const mount = await mountFuse(target);
const negotiated = beginSession(mount.fd, {});
void stat(join(target, "file")).catch(() => undefined);
const request = Buffer.alloc(negotiated.maxWrite + 4096);
readSync(mount.fd, request);
process.stdout.write(`${JSON.stringify({ fd: mount.fd, negotiated })}\n`);
setInterval(() => undefined, 60_000);
