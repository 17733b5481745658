import { allocate } from "../allocate.ts";
import { placeConstants } from "../constants.ts";
import type { Program } from "../instruction.ts";
import { ControlLowering } from "./control.ts";
import { lowerMemory } from "./memory.ts";
import { lowerScalar, lowerScalarMemory } from "./scalars.ts";
import { lowerVector } from "./vectors.ts";
import { FunctionWriter } from "./writer.ts";

/** How many local variables a function may have of each kind; more than any program needs. */
const LOCALS = 10_000;

/** Compiles a program to the body of a WebAssembly function of type (i32, i32, i32) -> (). */
export function lowerWasm(source: Program): Uint8Array {
  const program = placeConstants(source, Number.POSITIVE_INFINITY);
  const allocation = allocate(program, { vector: LOCALS, scalar: LOCALS, tile: 0 });
  const writer = new FunctionWriter(program, allocation);
  const control = new ControlLowering(writer);
  for (const instruction of program.instructions) {
    const known =
      lowerVector(writer, instruction) ||
      lowerMemory(writer, instruction) ||
      lowerScalar(writer, instruction) ||
      lowerScalarMemory(writer, instruction) ||
      control.lower(instruction);
    if (!known) throw writer.error(`no instruction for '${instruction.op}'`);
  }
  return writer.finish();
}
