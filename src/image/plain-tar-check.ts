/**
 * Whether a layer without a table of contents holds a tar at all, while its bytes pass by.
 *
 * @module
 */
import { EsgzError, messageOf } from "../errors/index.ts";
import { TarDecoder, type TarEvent } from "../tar/index.ts";
import type { LayerReportBuilder } from "./layer-report.ts";

/** Takes the tar's bytes in order, and counts its entries. */
export class PlainTarCheck {
  readonly #report: LayerReportBuilder;
  readonly #where: string;
  readonly #decoder = new TarDecoder();
  #count = 0;
  #broken = false;

  /** @param where what the report calls the layer */
  constructor(report: LayerReportBuilder, where: string) {
    this.#report = report;
    this.#where = where;
    report.begin("tar");
  }

  /** Entries of the tar. */
  get count(): number {
    return this.#count;
  }

  /** The next bytes of the tar. */
  push(bytes: Uint8Array): void {
    this.#take(() => this.#decoder.push(bytes));
  }

  /** The tar has ended. */
  finish(): void {
    this.#take(() => this.#decoder.finish());
  }

  #take(decode: () => Iterable<TarEvent>): void {
    if (this.#broken) return;
    try {
      for (const event of decode()) if (event.kind === "entry") this.#count += 1;
    } catch (error) {
      if (!(error instanceof EsgzError)) throw error;
      this.#broken = true;
      this.#report.find("tar", this.#where, messageOf(error));
    }
  }
}
