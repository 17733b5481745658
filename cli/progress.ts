import cliProgress, { type MultiBar, Presets, type SingleBar } from "cli-progress";
import type { Progress } from "../src/index.ts";

/** Shortest work that is worth a bar, in bytes. */
const WORTH_SHOWING = 32 * 2 ** 20;

const LABELS: Readonly<Record<Progress["status"], string>> = {
  download: "downloading",
  load: "loading",
  pack: "packing",
};

/** Progress bars on stderr, one for each file that is downloaded, one for loading. */
export class ProgressBars {
  #bars: MultiBar | undefined;
  readonly #single = new Map<string, SingleBar>();
  readonly #silent: boolean;

  /** @param silent shows nothing */
  constructor(silent: boolean) {
    this.#silent = silent;
  }

  /** To be given as `progress_callback`. */
  readonly report = ({ status, file, loaded, total }: Progress): void => {
    if (this.#silent || total < WORTH_SHOWING) return;
    const label = status === "download" ? `${LABELS[status]} ${file ?? ""}` : LABELS[status];
    this.#bars ??= new cliProgress.MultiBar(
      {
        format: "{label} {bar} {percentage} % | {done} of {size} MB | {eta_formatted} left",
        stream: process.stderr,
        hideCursor: true,
        clearOnComplete: true,
        noTTYOutput: false,
        emptyOnZero: true,
      },
      Presets.shades_classic,
    );
    const bar =
      this.#single.get(label) ?? this.#bars.create(total, 0, { label, done: 0, size: megabytes(total) });
    this.#single.set(label, bar);
    bar.update(loaded, { label, done: megabytes(loaded), size: megabytes(total) });
  };

  /** Takes the bars away. */
  stop(): void {
    this.#bars?.stop();
    this.#bars = undefined;
    this.#single.clear();
  }
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(0);
}
