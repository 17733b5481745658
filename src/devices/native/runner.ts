import { COMMAND } from "../../codegen/step.ts";
import type { NativeEngine } from "./engine.ts";
import type { Region } from "./memory.ts";

/** One command: a compiled program, its arguments (addresses and numbers), and how many tiles of work there are. */
interface Entry {
  program: number;
  args: readonly number[];
  tiles: number;
}

/** A list of commands, written into memory as the step program reads it. */
export class CommandList {
  readonly #engine: NativeEngine;
  readonly #entries: Entry[] = [];
  #region: Region | undefined;
  #scratch = 0;

  constructor(engine: NativeEngine) {
    this.#engine = engine;
  }

  get length(): number {
    return this.#entries.length;
  }

  /** Bytes of memory that each thread needs for itself. */
  get scratch(): number {
    return this.#scratch;
  }

  /** @param args each in a slot of 8 bytes */
  append(program: number, args: readonly number[], tiles: number, scratch: number): void {
    this.#entries.push({ program, args, tiles });
    this.#scratch = Math.max(this.#scratch, scratch);
  }

  clear(): void {
    this.#entries.length = 0;
    this.#scratch = 0;
  }

  /** Writes the list into memory and gives the address of its first command. It stays there until the next call. */
  write(): number {
    const count = this.#entries.length;
    const slots = this.#entries.reduce((sum, { args }) => sum + args.length, 0);
    const bytes = count * COMMAND.bytes + slots * 8;
    if (!this.#region || this.#region.bytes < bytes) {
      this.#region?.free();
      this.#region = this.#engine.allocate(Math.max(65536, 2 * bytes));
    }
    const { address } = this.#region;
    const memory = this.#region.array(Uint8Array, 0, bytes).fill(0);
    const view = new DataView(memory.buffer, memory.byteOffset, bytes);
    let block = count * COMMAND.bytes;
    for (const [i, { program, args, tiles }] of this.#entries.entries()) {
      const at = i * COMMAND.bytes;
      view.setBigInt64(at + COMMAND.program, BigInt(program), true);
      view.setBigInt64(at + COMMAND.arguments, BigInt(address + block), true);
      view.setInt32(at + COMMAND.tiles, tiles, true);
      for (const arg of args) {
        view.setBigInt64(block, BigInt(arg), true);
        block += 8;
      }
    }
    return address;
  }

  free(): void {
    this.#region?.free();
    this.#region = undefined;
  }
}

/** Runs lists of commands. */
export interface Runner {
  /** Threads that compute. */
  readonly threads: number;
  /** Resolves when the whole list has been computed. Rejects with the signal's reason; some of it may have run then. */
  run(list: CommandList, signal?: AbortSignal): Promise<void>;
  close(): Promise<void>;
}
