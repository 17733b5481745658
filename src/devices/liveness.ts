import type { Value } from "./device.ts";
import type { KernelInputs } from "./kernel.ts";

/** A kernel that was noted down, as far as it matters here. */
export interface Recorded {
  readonly inputs: KernelInputs;
  readonly output: Value;
  /** The output is one of the inputs, which is written over. */
  readonly inPlace: boolean;
}

/** Gives the Value whose numbers a view shows; itself for one that is no view. */
export type Origin = (value: Value) => Value;

/**
 * The commands of a step that must be computed, in their order: those that write in place, and those whose output is a
 * result of the step or an input of another that must be computed.
 *
 * @param results what the step returns and keeps
 */
export function neededCommands<C extends Recorded>(
  commands: readonly C[],
  results: Iterable<Value>,
  origin: Origin,
): C[] {
  const read = new Set<Value>();
  for (const value of results) read.add(origin(value));
  const needed: C[] = [];
  for (const command of commands.toReversed()) {
    if (!command.inPlace && !read.has(command.output)) continue;
    for (const value of touched(command)) read.add(origin(value));
    needed.push(command);
  }
  return needed.reverse();
}

/**
 * For each command, by its number, the Values that none of the later ones uses and that are no results: their places can
 * be used again. A Value that lives beyond the step may be among them; it is not for the step to end it.
 *
 * @param results what the step returns and keeps
 */
export function lastUses(
  commands: readonly Recorded[],
  results: Iterable<Value>,
  origin: Origin,
): Map<number, Value[]> {
  const used = new Set<Value>();
  for (const value of results) used.add(origin(value));
  const last = new Map<number, Value[]>();
  for (let i = commands.length - 1; i >= 0; i--) {
    const ending = new Set(
      touched(commands[i])
        .map(origin)
        .filter((value) => !used.has(value)),
    );
    if (ending.size > 0) last.set(i, [...ending]);
    for (const value of ending) used.add(value);
  }
  return last;
}

function touched({ inputs, output }: Recorded): Value[] {
  return [...Object.values(inputs).filter((value) => value !== undefined), output];
}
