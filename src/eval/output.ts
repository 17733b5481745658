import type { Printer } from "./benchmark.ts";
import { BenchmarkError } from "./errors.ts";

/** What a call printed and warned of. */
export interface Output {
  /** As the original prints it. */
  stdout: string;
  warnings: string[];
}

/** Gathers what is printed, and hands it on as it comes. */
export class Collector implements Printer, Output {
  stdout = "";
  readonly warnings: string[] = [];
  private readonly forward: ((text: string) => void) | undefined;

  constructor(forward?: (text: string) => void) {
    this.forward = forward;
  }

  print(text: string): void {
    this.stdout += text;
    this.forward?.(text);
  }

  warn(text: string): void {
    this.warnings.push(text);
  }

  /** Runs `work`; an error of its own learns what had been printed before it. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof BenchmarkError) error.printed = this.stdout;
      throw error;
    }
  }
}
