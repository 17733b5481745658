import type { Program } from "../../codegen/instruction.ts";
import { stepProgram } from "../../codegen/step.ts";
import type { Target } from "../../codegen/target.ts";
import { entryCode } from "../../codegen/x64/entry.ts";
import { lowerX64 } from "../../codegen/x64/lower.ts";
import { CodeMemory } from "./code.ts";
import { loadKoffi } from "./koffi.ts";
import { Region } from "./memory.ts";
import { bf16DotPays } from "./probe.ts";
import {
  chooseTarget,
  cpuLevel,
  detectProcessor,
  type Processor,
  requestAmx,
  tilesUnused,
} from "./processor.ts";
import { openSystem, type System } from "./system.ts";
import { checkTiles } from "./tile_check.ts";

/** A compiled program, runnable on the calling thread. Its three arguments are addresses or numbers. */
export type NativeFunction = (block: number, tile: number, scratch: number) => void;

/** Makes and runs machine code in this process. */
export class NativeEngine {
  readonly system: System;
  readonly processor: Processor;
  readonly target: Target;
  /** Why matrix tiles, which the processor has, are not used for all that they could do. */
  readonly tilesUnused: string | undefined;
  readonly #code: CodeMemory;
  readonly #entry: (program: number, a: number, b: number, c: number) => void;
  /** Address of the function that programs are entered by, for other threads. */
  readonly entry: number;
  #step: number | undefined;
  #timedStep: number | undefined;

  constructor(system: System, code: CodeMemory, processor: Processor, target: Target, tilesUnused?: string) {
    this.system = system;
    this.processor = processor;
    this.target = target;
    this.tilesUnused = tilesUnused;
    this.#code = code;
    this.entry = code.place(entryCode(system.abi));
    const { koffi } = system;
    const word = "uintptr_t";
    this.#entry = koffi.decode(BigInt(this.entry), koffi.proto("void", [word, word, word, word]));
  }

  /** Zeroed memory for programs to work on. */
  allocate(bytes: number): Region {
    return new Region(this.system, bytes);
  }

  /** Compiles a program and gives its address, for commands of a step. */
  compile(program: Program): number {
    const { bytes, entry } = lowerX64(program);
    return this.#code.place(bytes) + entry;
  }

  /** Address of the program that runs a list of commands on several threads. */
  get step(): number {
    this.#step ??= this.compile(stepProgram(this.target));
    return this.#step;
  }

  /** Address of the one that also notes down when each command was done. */
  get timedStep(): number {
    this.#timedStep ??= this.compile(stepProgram(this.target, true));
    return this.#timedStep;
  }

  /** Compiles a program, to be run on the calling thread. */
  callable(program: Program): NativeFunction {
    const address = this.compile(program);
    return (block, tile, scratch) => this.#entry(address, block, tile, scratch);
  }

  /** Bytes of memory that code takes. */
  get codeBytes(): number {
    return this.#code.bytes;
  }

  /** Gives the memory of all compiled programs back. Nothing may run any more. */
  dispose(): void {
    this.#code.free();
  }
}

/**
 * Starts the engine, or tells why there can be none here: the sentence fits behind "because".
 *
 * @param restrict the environment variable LLAVA_CPU
 * @throws OptionError where `restrict` is no known level
 */
export function openEngine(restrict = process.env.LLAVA_CPU): NativeEngine | { reason: string } {
  const level = cpuLevel(restrict);
  if (process.arch !== "x64")
    return { reason: `machine code is made for x86-64 only, and this is ${process.arch}` };
  const koffi = loadKoffi();
  if ("reason" in koffi) return koffi;
  const system = openSystem(koffi);
  const code = new CodeMemory(system);
  try {
    const processor = detectProcessor(system, code);
    const target = chooseTarget(processor, level, () => requestAmx(system, code));
    if ("reason" in target) {
      code.free();
      return target;
    }
    const engine = new NativeEngine(system, code, processor, target);
    const bf16Dot = target.bf16Dot && bf16DotPays(engine);
    const tiles = target.amx ? checkTiles(engine) : undefined;
    const amx = tiles?.bytes ?? false;
    const found = { ...target, bf16Dot, amx, bf16Tiles: amx && tiles?.pairs === true };
    return new NativeEngine(system, code, processor, found, tilesUnused(processor, level, tiles));
  } catch (error) {
    code.free();
    return { reason: error instanceof Error ? error.message : String(error) };
  }
}
