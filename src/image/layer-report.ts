/**
 * What the verification of a layer found.
 *
 * @module
 */
import type { ArchiveFormat } from "../estargz/index.ts";
import type { Digest } from "../oci/index.ts";

/** What is checked. */
export type LayerCheckName =
  /** The blob has the size that the manifest says. */
  | "blob-size"
  /** The blob has the digest that the manifest says. */
  | "blob-digest"
  /** The blob decompresses, to what the config's diff id says. */
  | "diff-id"
  /** The table of contents is the one that the manifest proves. */
  | "toc-digest"
  /** The table of contents can be read. */
  | "toc"
  /** Each chunk, read where the table of contents says, has its digest. */
  | "chunks"
  /** The table of contents says of every file what the tar says. */
  | "toc-equals-tar"
  /** What a layer without a table of contents decompresses to is a tar. */
  | "tar";

/** The result of one check. */
export interface LayerCheck {
  readonly name: LayerCheckName;
  readonly status: "passed" | "failed" | "skipped";
  /** Why it was skipped. */
  readonly reason?: string | undefined;
}

/** One thing that is wrong. */
export interface LayerFinding {
  readonly check: LayerCheckName;
  /** Where: a path, a path and an offset, or the layer's digest. */
  readonly where: string;
  /** What was expected and what was found. */
  readonly message: string;
}

/** The report on one layer. */
export interface LayerReport {
  readonly digest: Digest;
  readonly format: ArchiveFormat | "ordinary";
  /** Whether no check failed. */
  readonly passed: boolean;
  readonly checks: readonly LayerCheck[];
  /** At most {@linkcode MAX_FINDINGS}. */
  readonly findings: readonly LayerFinding[];
  /** All findings, also those that are not listed. */
  readonly findingCount: number;
  /** Chunks that were read and compared. */
  readonly chunkCount: number;
  /** Entries of the tar, compared with the table of contents where there is one. */
  readonly entryCount: number;
}

/** Findings that a report lists; more are counted. */
export const MAX_FINDINGS = 1000;

/** A report being written. */
export class LayerReportBuilder {
  readonly #status = new Map<LayerCheckName, LayerCheck>();
  readonly #findings: LayerFinding[] = [];
  #findingCount = 0;

  /** A check was made; it has passed unless something is found. */
  begin(name: LayerCheckName): void {
    if (!this.#status.has(name)) this.#status.set(name, { name, status: "passed" });
  }

  /** A check cannot be made. */
  skip(name: LayerCheckName, reason: string): void {
    this.#status.set(name, { name, status: "skipped", reason });
  }

  /** Something is wrong. */
  find(check: LayerCheckName, where: string, message: string): void {
    this.#status.set(check, { name: check, status: "failed" });
    this.#findingCount += 1;
    if (this.#findings.length < MAX_FINDINGS) this.#findings.push({ check, where, message });
  }

  /** The finished report. */
  finish(facts: Pick<LayerReport, "digest" | "format" | "chunkCount" | "entryCount">): LayerReport {
    return {
      ...facts,
      passed: this.#findingCount === 0,
      checks: [...this.#status.values()],
      findings: [...this.#findings],
      findingCount: this.#findingCount,
    };
  }
}
