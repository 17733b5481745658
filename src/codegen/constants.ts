import type { Instruction, Program, Register } from "./instruction.ts";
import { findLiveness, type Loop } from "./liveness.ts";

/** A weight for one more level of loops around a use. */
const ROUNDS = 16;

/**
 * Gives each constant its instructions. A constant is loaded once before the outermost loop that uses it, if vector
 * registers suffice all through that loop; if not, before loops inside; in the end right before each use. So constants
 * never make a program need too many registers, and the ones that are used most get the free ones.
 *
 * @param limit vector registers of the machine
 */
export function placeConstants(program: Program, limit: number): Program {
  const { instructions, registers, name } = program;
  const { start, end, loops } = findLiveness(name, instructions, registers);
  const uses = findUses(instructions);
  if (uses.size === 0) return program;
  const pressure = vectorPressure(instructions, registers, start, end);
  const outermost = loops.filter((loop) => loop.depth === 1);
  const placed = new Map<number, Register[]>();
  for (const [constant, at] of byWeight(uses, loops)) {
    for (const loop of chooseLoops(outermost, at, pressure, limit)) {
      const list = placed.get(loop.first) ?? [];
      list.push(constant);
      placed.set(loop.first, list);
    }
  }
  return rewrite(program, loops, placed);
}

/** For each constant, the instructions that read it. */
function findUses(instructions: readonly Instruction[]): Map<Register, number[]> {
  const uses = new Map<Register, number[]>();
  for (const [i, { inputs }] of instructions.entries())
    for (const register of new Set(inputs)) {
      if (register.constant === undefined) continue;
      const at = uses.get(register);
      if (at) at.push(i);
      else uses.set(register, [i]);
    }
  return uses;
}

/** How many vector registers are in use at each position, where each constant is loaded right before its use. */
function vectorPressure(
  instructions: readonly Instruction[],
  registers: readonly Register[],
  start: readonly number[],
  end: readonly number[],
): Int32Array {
  const pressure = new Int32Array(2 * instructions.length + 1);
  for (const { index, kind, constant } of registers) {
    if (kind !== "vector" || constant !== undefined || start[index] === Number.POSITIVE_INFINITY) continue;
    for (let p = start[index]; p <= end[index]; p++) pressure[p]++;
  }
  for (const [i, { inputs }] of instructions.entries())
    for (const register of new Set(inputs)) if (register.constant !== undefined) pressure[2 * i]++;
  return pressure;
}

/** Constants with their uses, the most used first: uses in loops count more. */
function byWeight(uses: Map<Register, number[]>, loops: readonly Loop[]): [Register, number[]][] {
  const weight = (at: readonly number[]): number => {
    let sum = 0;
    for (const i of at) {
      const depth = loops.filter(({ first, last }) => first < i && i < last).length;
      sum += ROUNDS ** depth;
    }
    return sum;
  };
  return [...uses]
    .map((entry) => ({ entry, weight: weight(entry[1]) }))
    .sort((a, b) => b.weight - a.weight)
    .map(({ entry }) => entry);
}

/** The loops before which a constant is loaded. Notes in `pressure` the registers that this takes. */
function chooseLoops(
  candidates: readonly Loop[],
  uses: readonly number[],
  pressure: Int32Array,
  limit: number,
): Loop[] {
  return candidates.flatMap((loop) => {
    const inside = uses.filter((i) => loop.first < i && i < loop.last);
    if (inside.length === 0) return [];
    const at = new Set(inside.map((i) => 2 * i));
    const [from, to] = [2 * loop.first, 2 * loop.last + 1];
    for (let p = from; p <= to; p++)
      if (pressure[p] + (at.has(p) ? 0 : 1) > limit) return chooseLoops(loop.inner, inside, pressure, limit);
    for (let p = from; p <= to; p++) if (!at.has(p)) pressure[p]++;
    return [loop];
  });
}

/** The program with an instruction for each load of a constant. */
function rewrite(program: Program, loops: readonly Loop[], placed: Map<number, Register[]>): Program {
  const registers = [...program.registers];
  const instructions: Instruction[] = [];
  const current = new Map<Register, Register>();
  const firstOf = new Map(loops.map(({ first, last }) => [last, first]));
  const load = (constant: Register): Register => {
    const register: Register = { kind: "vector", index: registers.length, block: constant.block };
    registers.push(register);
    instructions.push(constantInstruction(register, constant));
    return register;
  };
  for (const [i, instruction] of program.instructions.entries()) {
    for (const constant of placed.get(i) ?? []) current.set(constant, load(constant));
    const local = new Map<Register, Register>();
    const inputs = instruction.inputs.map((register) => {
      if (register.constant === undefined) return register;
      const known = current.get(register) ?? local.get(register);
      if (known) return known;
      const loaded = load(register);
      local.set(register, loaded);
      return loaded;
    });
    instructions.push({ ...instruction, inputs });
    const first = firstOf.get(i);
    if (first !== undefined) for (const constant of placed.get(first) ?? []) current.delete(constant);
  }
  return { ...program, registers, instructions };
}

function constantInstruction(out: Register, { constant }: Register): Instruction {
  return { op: "constant", out, inputs: [], imm: 0, offset: 0, bytes: 0, condition: undefined, constant };
}
