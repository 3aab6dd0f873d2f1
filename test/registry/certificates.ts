/**
 * A private certificate authority for one test, made with the openssl command.
 *
 * @module
 */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** PEM text of an authority and of a server's and a client's certificate that it signed. */
export interface Certificates {
  readonly ca: string;
  readonly server: { readonly cert: string; readonly key: string };
  readonly client: { readonly cert: string; readonly key: string };
}

/** Makes certificates for 127.0.0.1; undefined where there is no openssl. */
export async function makeCertificates(): Promise<Certificates | undefined> {
  const directory = await mkdtemp(join(tmpdir(), "esgz-certificates-"));
  const openssl = async (...args: string[]): Promise<void> =>
    void (await run("openssl", args, { cwd: directory }));
  const read = (name: string): Promise<string> => readFile(join(directory, name), "utf8");
  const sign = async (name: string): Promise<{ cert: string; key: string }> => {
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", `${name}.key`];
    await openssl("req", ...key, "-subj", `/CN=${name}`, "-out", `${name}.csr`);
    await writeFile(join(directory, "san"), "subjectAltName=IP:127.0.0.1\n");
    const by = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "san"];
    await openssl("x509", "-req", "-in", `${name}.csr`, ...by, "-out", `${name}.pem`);
    return { cert: await read(`${name}.pem`), key: await read(`${name}.key`) };
  };
  try {
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key"];
    await openssl("req", "-x509", ...key, "-subj", "/CN=test authority", "-days", "2", "-out", "ca.pem");
    return { ca: await read("ca.pem"), server: await sign("server"), client: await sign("client") };
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
