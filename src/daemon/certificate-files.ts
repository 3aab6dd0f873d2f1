/**
 * Certificates of registries, in directories as Docker and containers have them.
 *
 * @module
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { EsgzError, messageOf } from "../errors/index.ts";
import type { TlsConfig } from "../registry/index.ts";

const ROOTS = ["/etc/containers/certs.d", "/etc/docker/certs.d"] as const;

/** The directory with the certificates for a registry, if the machine has one. */
export function certificateDirectory(registry: string): string | undefined {
  return ROOTS.map((root) => join(root, registry)).find((directory) => existsSync(directory));
}

/**
 * What is in such a directory: `*.crt` are authorities, `X.cert` with `X.key` is the client's.
 *
 * @throws {EsgzError} `CONFIGURATION_INVALID`
 */
export function certificatesIn(directory: string | undefined): TlsConfig {
  if (directory === undefined) return {};
  const files = filesIn(directory);
  const ca = files.filter((file) => file.endsWith(".crt")).map((file) => readPem(join(directory, file)));
  const cert = files.find((file) => file.endsWith(".cert"));
  const key = cert === undefined ? undefined : files.find((file) => file === cert.replace(/\.cert$/, ".key"));
  return {
    ...(ca.length === 0 ? {} : { ca }),
    ...(cert === undefined || key === undefined
      ? {}
      : { certFile: join(directory, cert), keyFile: join(directory, key) }),
  };
}

function filesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory).toSorted();
  } catch (cause) {
    throw unusableCertificates(directory, cause);
  }
}

function readPem(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw unusableCertificates(file, cause);
  }
}

function unusableCertificates(path: string, cause: unknown): EsgzError {
  return new EsgzError("CONFIGURATION_INVALID", `Cannot read certificates "${path}": ${messageOf(cause)}`, {
    cause,
  });
}
