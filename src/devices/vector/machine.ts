import type { Program } from "../../codegen/instruction.ts";
import type { Target } from "../../codegen/target.ts";
import type { ListTimes } from "../step_times.ts";

/** Typed arrays that memory can be seen as. */
export type ArrayType<T> = {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBuffer, at: number, n: number): T;
};

/** A piece of the memory that programs work on. */
export interface Region {
  readonly address: number;
  readonly bytes: number;
  /** `length` elements from `offset` bytes on: a window, not a copy, and right until more memory is allocated. */
  array<T>(type: ArrayType<T>, offset: number, length: number): T;
  /** Copies bytes into it. */
  write(offset: number, source: Uint8Array): void;
  free(): void;
}

/** Something that has memory, compiles vector programs, and runs lists of them: the hardware of a VectorDevice. */
export interface Machine {
  readonly target: Target;
  /** Threads that compute. */
  readonly threads: number;
  /** Bytes that its memory can ever hold, where that is less than what the system has. */
  readonly capacity?: number;
  /** Arrays that regions give stay right while more memory is allocated. */
  readonly steady: boolean;
  /**
   * Zeroed memory.
   *
   * @throws UnsupportedError where there is not so much
   */
  allocate(bytes: number): Region;
  /** A stretch of a file as memory that must not be written, where the system has that. */
  map?(path: string, offset: number, bytes: number): Region;
  /** Compiles a program, and gives what stands for it in a command: its address, or its number in a table. */
  compile(program: Program): number;
  /**
   * Runs a list of commands; resolves when all are done, or when `abort` has ended it early.
   *
   * @param address of a list as `writeCommands` makes it
   */
  run(address: number, count: number): Promise<void>;
  /** As `run`, and tells what each command took. Only where programs can read a clock. */
  runTimed?(address: number, count: number): Promise<ListTimes>;
  /** Ends what runs within a tile of work. Its results are undefined then. */
  abort(): void;
  /** Nothing runs from now on. Memory may still be freed. */
  stop(): Promise<void>;
  /** Gives everything back, after `stop`. */
  dispose(): void;
}
