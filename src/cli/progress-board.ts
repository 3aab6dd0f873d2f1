/**
 * Progress on stderr: a few lines that are redrawn on a terminal, plain lines elsewhere.
 *
 * @module
 */
import { formatBytes, formatDuration, formatPercent } from "./format.ts";

/** Where a board draws. */
export interface BoardOptions {
  readonly write: (text: string) => void;
  /** Redraw in place; otherwise a line is printed at every tenth of the whole. */
  readonly live: boolean;
  /** Width of the terminal in characters. */
  readonly columns: number;
  /** Lines that fit; further rows are counted, not drawn. */
  readonly rows: number;
  readonly nowMs: () => number;
}

/** How far a row is; without a note it keeps the one that it has. */
export interface RowState {
  readonly label: string;
  readonly done: number;
  readonly total: number;
  readonly note?: string;
}

interface Row {
  readonly label: string;
  done: number;
  total: number;
  note: string;
}

const REDRAW_MS = 100;
const BAR_WIDTH = 20;
const RATE_WINDOW_MS = 3000;

/** Rows of progress under a line that sums them up. */
export class ProgressBoard {
  readonly #options: BoardOptions;
  readonly #rows = new Map<string, Row>();
  readonly #startMs: number;
  #samples: { readonly atMs: number; readonly done: number }[] = [];
  #drawnLines = 0;
  #drawnMs = -Infinity;
  #saidTenths = 0;

  constructor(options: BoardOptions) {
    this.#options = options;
    this.#startMs = options.nowMs();
  }

  /** Says something once, above the rows. */
  say(text: string): void {
    this.#erase();
    this.#options.write(`${text}\n`);
    this.#draw(true);
  }

  /** Sets a row; it is created when it is new. */
  set(key: string, state: RowState): void {
    this.setAll([[key, state]]);
  }

  /** Sets rows that change together: what is drawn sums up all of them. */
  setAll(states: readonly (readonly [key: string, state: RowState])[]): void {
    for (const [key, state] of states) {
      const row = this.#rows.get(key);
      if (row === undefined) this.#rows.set(key, { ...state, note: state.note ?? "" });
      else Object.assign(row, { done: state.done, total: state.total, note: state.note ?? row.note });
    }
    this.#draw(false);
  }

  /** Removes what is drawn in place; plain lines stay. What is set after that is counted anew. */
  finish(): void {
    this.#erase();
    this.#rows.clear();
    this.#samples = [];
    this.#saidTenths = 0;
  }

  #draw(now: boolean): void {
    const { live, nowMs } = this.#options;
    const atMs = nowMs();
    if (!live) return this.#sayTenths(atMs);
    if (!now && atMs - this.#drawnMs < REDRAW_MS) return;
    this.#drawnMs = atMs;
    this.#erase();
    const lines = this.#rows.size === 0 ? [] : [...this.#rowLines(), this.#summary(atMs)];
    this.#options.write(lines.map((line) => `${line.slice(0, this.#options.columns - 1)}\n`).join(""));
    this.#drawnLines = lines.length;
  }

  #erase(): void {
    if (this.#drawnLines > 0) this.#options.write(`\u001b[${this.#drawnLines}A\u001b[J`);
    this.#drawnLines = 0;
  }

  #rowLines(): string[] {
    const unfinished = [...this.#rows.values()].filter(({ done, total }) => done < total || total === 0);
    const finished = this.#rows.size - unfinished.length;
    const room = Math.max(1, this.#options.rows - 4);
    const width = Math.max(...[...this.#rows.values()].map(({ label }) => label.length));
    const shown = this.#rows.size <= room ? [...this.#rows.values()] : unfinished.slice(0, room);
    const lines = shown.map((row) => rowLine(row, width));
    if (shown.length < this.#rows.size) lines.push(`  ... ${finished} of ${this.#rows.size} done`);
    return lines;
  }

  #summary(atMs: number): string {
    const { done, total } = this.#sum();
    const rate = this.#rate(atMs, done);
    const left = rate > 0 && total > done ? `, ${formatDuration(((total - done) / rate) * 1000)} left` : "";
    const amount = `${formatBytes(done)} of ${formatBytes(total)}`;
    return `${formatPercent(done, total).padStart(4)}  ${amount}, ${formatBytes(rate)}/s${left}`;
  }

  #sayTenths(atMs: number): void {
    const { done, total } = this.#sum();
    const tenths = total === 0 ? 0 : Math.floor((done / total) * 10);
    this.#rate(atMs, done);
    if (tenths <= this.#saidTenths) return;
    this.#saidTenths = tenths;
    this.#options.write(
      `${this.#summary(atMs).trimStart()} (${formatDuration(atMs - this.#startMs)} elapsed)\n`,
    );
  }

  #sum(): { done: number; total: number } {
    let done = 0;
    let total = 0;
    for (const row of this.#rows.values()) {
      done += row.done;
      total += row.total;
    }
    return { done, total };
  }

  /** Bytes a second over the last few seconds. */
  #rate(atMs: number, done: number): number {
    this.#samples.push({ atMs, done });
    const fresh = this.#samples.findIndex((sample) => sample.atMs >= atMs - RATE_WINDOW_MS);
    if (fresh > 0) this.#samples = this.#samples.slice(fresh);
    const oldest = this.#samples[0] ?? { atMs, done };
    const since = atMs - oldest.atMs < 200 ? { atMs: this.#startMs, done: 0 } : oldest;
    return atMs <= since.atMs ? 0 : Math.max(0, ((done - since.done) / (atMs - since.atMs)) * 1000);
  }
}

function rowLine({ label, done, total, note }: Row, width: number): string {
  const filled = total === 0 ? 0 : Math.floor((done / total) * BAR_WIDTH);
  const bar = `${"=".repeat(filled)}${" ".repeat(BAR_WIDTH - filled)}`;
  const amount = total === 0 ? formatBytes(done) : `${formatBytes(done)} / ${formatBytes(total)}`;
  return `${label.padEnd(width)} [${bar}] ${total === 0 ? "" : `${formatPercent(done, total).padStart(4)} `}${amount}${note === "" ? "" : `  ${note}`}`;
}
