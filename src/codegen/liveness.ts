import { type Instruction, PARAMETERS, ProgramError, type Register } from "./instruction.ts";

/** A loop, by the numbers of its first and last instruction. Inner loops come before the ones around them. */
export interface Loop {
  readonly first: number;
  readonly last: number;
  /** Loops directly inside. */
  readonly inner: readonly Loop[];
  /** 1 for an outermost loop. */
  readonly depth: number;
}

/**
 * From where to where each register is in use. Instruction `i` reads at position 2 i and writes at 2 i + 1. A register
 * that is never written starts at Infinity; parameters start at -1.
 */
export interface Liveness {
  readonly start: readonly number[];
  readonly end: readonly number[];
  /** All loops, inner ones first. */
  readonly loops: readonly Loop[];
}

/** The loops of a program, inner ones first. */
export function findLoops(instructions: readonly Instruction[]): Loop[] {
  const loops: Loop[] = [];
  const open: { first: number; inner: Loop[] }[] = [];
  for (const [i, { op }] of instructions.entries()) {
    if (op === "loop" || op === "forever") open.push({ first: i, inner: [] });
    if (op !== "endLoop" && op !== "endForever") continue;
    const { first, inner } = open.pop()!;
    const loop = { first, last: i, inner, depth: open.length + 1 };
    open.at(-1)?.inner.push(loop);
    loops.push(loop);
  }
  return loops;
}

/** Where registers are in use. Constants, which have no instruction yet, count as never written. */
export function findLiveness(
  name: string,
  instructions: readonly Instruction[],
  registers: readonly Register[],
): Liveness {
  const start = registers.map((_, i) => (i < PARAMETERS ? -1 : Number.POSITIVE_INFINITY));
  const end = registers.map(() => -1);
  for (const [i, { op, inputs, out }] of instructions.entries()) {
    for (const { index, constant } of inputs) {
      if (start[index] === Number.POSITIVE_INFINITY && constant === undefined)
        throw new ProgramError(
          `vector program '${name}': '${op}' (${i}) reads a register that nothing wrote`,
        );
      end[index] = 2 * i;
    }
    if (out) {
      start[out.index] = Math.min(start[out.index], 2 * i + 1);
      end[out.index] = 2 * i + 1;
    }
  }
  const loops = findLoops(instructions);
  for (const loop of loops) extendOverLoop(loop, start, end);
  return { start, end, loops };
}

/** What was made before a loop and is used in it must last until the loop is over, as the next round needs it again. */
function extendOverLoop(loop: Loop, start: readonly number[], end: number[]): void {
  const [from, to] = [2 * loop.first, 2 * loop.last + 1];
  for (let r = 0; r < end.length; r++) if (start[r] < from && end[r] > from && end[r] < to) end[r] = to;
}
