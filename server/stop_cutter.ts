/** Cuts a stream of text before the first of some strings. Text that may be the beginning of one is held back. */
export class StopCutter {
  readonly #stops: readonly string[];
  #held = "";
  /** Whether one of the strings was found. What comes afterwards is dropped. */
  stopped = false;

  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /** Takes the next piece of text. @returns what is certain to come before any of the strings */
  push(text: string): string {
    if (this.stopped) return "";
    const all = this.#held + text;
    const found = this.#stops.map((stop) => all.indexOf(stop)).filter((index) => index >= 0);
    if (found.length > 0) {
      this.stopped = true;
      this.#held = "";
      return all.slice(0, Math.min(...found));
    }
    const kept = this.#stops.reduce((most, stop) => Math.max(most, overlap(all, stop)), 0);
    this.#held = all.slice(all.length - kept);
    return all.slice(0, all.length - kept);
  }

  /** What was held back, once no text follows. */
  flush(): string {
    const rest = this.#held;
    this.#held = "";
    return rest;
  }
}

/** Characters at the end of the text with which `stop` begins. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(stop.length - 1, text.length); length > 0; length--) {
    if (text.endsWith(stop.slice(0, length))) return length;
  }
  return 0;
}
