import type { Value } from "../device.ts";
import type { FirstProgram, VectorForm } from "../kernel.ts";
import type { Origin, Recorded } from "../liveness.ts";

/** A command, and the program that computes it, if there is one. */
interface Formed {
  readonly command: Recorded;
  readonly form: VectorForm | undefined;
}

/** Where a command stands among those before it. */
export interface Place {
  /** It is computed beside them, as far back as to one that is not. */
  readonly beside: boolean;
  /** It is computed row by row behind the latest of them: the thread that has computed a row there goes on with it here. */
  readonly behind: boolean;
  /** What is to be computed before it has been: by that one's first program. */
  readonly shares: boolean;
}

/**
 * Puts commands into groups, in which threads go from one to the next without waiting: those that need nothing of each
 * other, and those that need of the one before them the same row only. What is computed by two programs begins a group with
 * its second one, unless its first program's work is there; what is computed by the reference stands by itself.
 */
export function grouped<C extends Formed>(commands: readonly C[], origin: Origin): (C & Place)[] {
  let group = new Group(origin);
  let before: VectorForm | undefined;
  return commands.map((one) => {
    const { command, form } = one;
    const shares = before !== undefined && form?.first !== undefined && group.has(command, form.first);
    const joins = before !== undefined && form !== undefined && (form.first === undefined || shares);
    const behind = joins && !shares && sameRows(before, form) && group.isFollowedBy(command);
    const beside = joins && !behind && group.admits(command);
    if (!beside && !behind) group = new Group(origin, command, form?.first);
    group.add(command, behind);
    before = form;
    return { ...one, beside, behind, shares: beside && shares };
  });
}

function sameRows(a: VectorForm | undefined, b: VectorForm | undefined): boolean {
  return a?.rows === true && b?.rows === true && a.tiles === b.tiles;
}

/** What the commands of a group read and write. */
class Group {
  readonly #origin: Origin;
  readonly #read = new Set<Value>();
  readonly #written = new Set<Value>();
  readonly #first: FirstProgram | undefined;
  /** What the first program reads, where that is one input. */
  readonly #source: Value | undefined;
  /** What the latest command made, and those that it is computed behind. */
  #chain: Value[] = [];

  constructor(origin: Origin, command?: Recorded, first?: FirstProgram) {
    this.#origin = origin;
    this.#first = first;
    this.#source = command && this.#sourceOf(command, first);
  }

  /** Whether a command that comes after all of them may be computed beside them. */
  admits({ inputs, output }: Recorded): boolean {
    return this.#isNew(output) && this.#madeHere(inputs).length === 0;
  }

  /** Whether a command reads what the latest one makes, and of what else the group makes only what that is computed behind. */
  isFollowedBy({ inputs, output }: Recorded): boolean {
    const made = this.#madeHere(inputs);
    const latest = this.#chain[this.#chain.length - 1];
    return this.#isNew(output) && made.includes(latest) && made.every((value) => this.#chain.includes(value));
  }

  /** Whether what a command's first program computes has been computed. */
  has(command: Recorded, first: FirstProgram): boolean {
    const own = this.#first;
    return (
      own !== undefined &&
      this.#source !== undefined &&
      this.#source === this.#sourceOf(command, first) &&
      own.key === first.key &&
      own.bytes === first.bytes &&
      own.tiles === first.tiles &&
      JSON.stringify(own.numbers) === JSON.stringify(first.numbers)
    );
  }

  add({ inputs, output }: Recorded, behind: boolean): void {
    const made = this.#origin(output);
    this.#chain = behind ? [...this.#chain, made] : [made];
    this.#written.add(made);
    for (const value of Object.values(inputs)) if (value) this.#read.add(this.#origin(value));
  }

  #isNew(output: Value): boolean {
    const made = this.#origin(output);
    return !this.#read.has(made) && !this.#written.has(made);
  }

  #madeHere(inputs: Recorded["inputs"]): Value[] {
    return Object.values(inputs)
      .flatMap((value) => (value ? [this.#origin(value)] : []))
      .filter((value) => this.#written.has(value));
  }

  #sourceOf({ inputs }: Recorded, first: FirstProgram | undefined): Value | undefined {
    const value = first?.reads === undefined ? undefined : inputs[first.reads];
    return value && this.#origin(value);
  }
}
