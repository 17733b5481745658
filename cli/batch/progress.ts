import cliProgress, { Presets, type SingleBar } from "cli-progress";

/** Milliseconds between lines where standard error is no terminal. */
const NEW_LINE = 30_000;

/** How far a batch is, on stderr: a bar on a terminal, a line now and then elsewhere. */
export class BatchProgress {
  #bar: SingleBar | undefined;
  readonly #begun = performance.now();
  readonly #before: number;
  readonly #total: number;

  /** @param counts records that are there already */
  constructor(silent: boolean, total: number, counts: { done: number; failed: number }) {
    this.#total = total;
    this.#before = counts.done;
    if (silent || counts.done === total) return;
    this.#bar = new cliProgress.SingleBar(
      {
        format: "{bar} {value} of {total} | {rate} | {left} left | {failed}",
        stream: process.stderr,
        hideCursor: true,
        clearOnComplete: true,
        noTTYOutput: true,
        notTTYSchedule: NEW_LINE,
        emptyOnZero: true,
        gracefulExit: false,
      },
      Presets.shades_classic,
    );
    this.#bar.start(total, counts.done, this.#facts(counts));
  }

  show(counts: { done: number; failed: number }): void {
    this.#bar?.update(counts.done, this.#facts(counts));
  }

  /** Says something between. */
  say(text: string): void {
    process.stderr.write(`${process.stderr.isTTY ? "\n" : ""}${text}\n`);
  }

  stop(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }

  #facts({ done, failed }: { done: number; failed: number }): Record<string, string> {
    const rate = rateOf(done - this.#before, performance.now() - this.#begun);
    return {
      rate: rate > 0 ? `${rate.toFixed(rate < 10 ? 2 : 0)}/s` : "-/s",
      left: rate > 0 ? duration((this.#total - done) / rate) : "?",
      failed: failed === 1 ? "1 error" : `${failed} errors`,
    };
  }
}

/** So many a second. */
export function rateOf(count: number, milliseconds: number): number {
  return count / Math.max(1e-3, milliseconds / 1000);
}

/** Seconds as hours, minutes and seconds. */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  const two = (n: number): string => String(n).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}
