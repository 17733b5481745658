/** What runs steps: threads, or the one that has the event loop. */
export interface Runner {
  readonly threads: number;
  /**
   * Runs a list of commands.
   *
   * @param module programs that are new since the call before
   * @param programs places that the table of programs must have
   */
  run(module: WebAssembly.Module | undefined, programs: number, list: number, count: number): Promise<void>;
  /** Ends what runs within a tile of work. */
  abort(): void;
  /** Nothing runs from now on. */
  stop(): Promise<void>;
}
