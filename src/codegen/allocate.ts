import { type Program, ProgramError, type Register, type RegisterKind } from "./instruction.ts";
import { findLiveness } from "./liveness.ts";

/** How many registers of each kind a machine has. */
export type RegisterFiles = Readonly<Record<RegisterKind, number>>;

/** Which register of the machine each virtual one became. */
export interface Allocation {
  /** Machine register of each virtual register; parameters have the first scalars. */
  readonly numbers: readonly number[];
  /** The most registers of each kind that were in use at once. */
  readonly peak: Readonly<Record<RegisterKind, number>>;
  /** Registers whose contents are needed both before and after instruction `i`. */
  liveAcross(i: number): Register[];
}

const PLURAL: Record<RegisterKind, string> = {
  vector: "vector registers",
  scalar: "scalar registers",
  tile: "tile registers",
};

/**
 * Gives machine registers to the virtual ones, by one scan over where they are in use. There is no spilling: a program
 * that needs more than there are is a mistake in its kernel.
 *
 * @throws ProgramError, naming the program and the instruction
 */
export function allocate(program: Program, files: RegisterFiles): Allocation {
  const { name, target, instructions, registers } = program;
  const { start, end } = findLiveness(name, instructions, registers);
  const numbers: number[] = registers.map(() => -1);
  const peak = { vector: 0, scalar: 0, tile: 0 };
  const free: Record<RegisterKind, number[]> = {
    vector: range(files.vector),
    scalar: range(files.scalar),
    tile: range(files.tile),
  };
  let active: Register[] = [];
  const order = registers
    .filter((r) => start[r.index] !== Number.POSITIVE_INFINITY)
    .sort((a, b) => start[a.index] - start[b.index]);
  for (const register of order) {
    const from = start[register.index];
    active = active.filter((other) => {
      if (end[other.index] >= from) return true;
      release(free[other.kind], numbers[other.index]);
      return false;
    });
    const pool = free[register.kind];
    if (pool.length === 0) {
      const i = from >> 1;
      throw new ProgramError(
        `vector program '${name}' for ${target.name} needs more than ${files[register.kind]} ${PLURAL[register.kind]}` +
          ` at instruction ${i} ('${instructions[i]?.op}'). Use smaller tiles, or keep fewer values.`,
        { where: name, expected: files[register.kind] },
      );
    }
    // Parameters come first in the order, and so get the first registers.
    numbers[register.index] = pool.shift()!;
    active.push(register);
    peak[register.kind] = Math.max(peak[register.kind], files[register.kind] - pool.length);
  }
  return {
    numbers,
    peak,
    liveAcross: (i) => order.filter(({ index }) => start[index] < 2 * i && end[index] > 2 * i),
  };
}

function range(n: number): number[] {
  return Array.from({ length: Number.isFinite(n) ? n : 0 }, (_, i) => i);
}

/** Puts a register back, lowest first. */
function release(pool: number[], number: number): void {
  let i = 0;
  while (i < pool.length && pool[i] < number) i++;
  pool.splice(i, 0, number);
}
