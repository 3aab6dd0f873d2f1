/**
 * Says as JSON what the kernel shows below a directory: `node describe-mount-process.ts DIRECTORY`. A process of its own,
 * since one that serves a mount must not look at it.
 */
import { describeMount } from "./describe-mount.ts";

process.stdout.write(JSON.stringify(describeMount(process.argv[2] ?? "")));
