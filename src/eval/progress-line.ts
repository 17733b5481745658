import type { RunProgress } from "./run.ts";

/** How long a line stands before the next, in milliseconds: redrawn on a terminal, a new one elsewhere. */
const REDRAW = 100;
const NEW_LINE = 30_000;

/** Tells how far a run is. */
export class ProgressLine {
  private readonly out: { stderr(text: string): void; isTerminal: boolean };
  private readonly quiet: boolean;
  private last = Number.NEGATIVE_INFINITY;
  private width = 0;

  constructor(out: { stderr(text: string): void; isTerminal: boolean }, quiet: boolean) {
    this.out = out;
    this.quiet = quiet;
  }

  show(progress: RunProgress): void {
    const now = performance.now();
    const pause = this.out.isTerminal ? REDRAW : NEW_LINE;
    if (this.quiet || (now - this.last < pause && progress.done < progress.total)) return;
    this.last = now;
    const text = describe(progress);
    if (this.out.isTerminal) {
      this.out.stderr(`\r${text.padEnd(this.width)}`);
      this.width = text.length;
    } else {
      this.out.stderr(`${text}\n`);
    }
  }

  /** Leaves the line as it stands. */
  end(): void {
    if (this.width > 0) this.out.stderr("\n");
    this.width = 0;
  }
}

function describe({ done, total, rate, secondsLeft }: RunProgress): string {
  const percent = total === 0 ? 100 : Math.floor((done / total) * 100);
  const speed =
    secondsLeft === null ? "" : `, ${rate.toFixed(rate < 10 ? 2 : 0)}/s, ${duration(secondsLeft)} left`;
  return `${done} of ${total} (${percent} %)${speed}`;
}

function duration(seconds: number): string {
  const whole = Math.round(seconds);
  const two = (n: number) => String(n).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}
