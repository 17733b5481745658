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
  /** What is to be computed before it has been: by that one's first program. */
  readonly shares: boolean;
}

/**
 * Puts commands that need nothing of each other into groups, in which threads go from one to the next without waiting.
 * What is computed by two programs begins a group with its second one, unless its first program's work is there; what is
 * computed by the reference stands by itself.
 */
export function grouped<C extends Formed>(commands: readonly C[], origin: Origin): (C & Place)[] {
  let group = new Group(origin);
  let open = false;
  return commands.map((one) => {
    const { command, form } = one;
    const shares = open && form?.first !== undefined && group.has(command, form.first);
    const beside =
      open && form !== undefined && (form.first === undefined || shares) && group.admits(command);
    if (!beside) group = new Group(origin, command, form?.first);
    group.add(command);
    open = form !== undefined;
    return { ...one, beside, shares: beside && shares };
  });
}

/** What the commands of a group read and write. */
class Group {
  readonly #origin: Origin;
  readonly #read = new Set<Value>();
  readonly #written = new Set<Value>();
  readonly #first: FirstProgram | undefined;
  /** What the first program reads, where that is one input. */
  readonly #source: Value | undefined;

  constructor(origin: Origin, command?: Recorded, first?: FirstProgram) {
    this.#origin = origin;
    this.#first = first;
    this.#source = command && this.#sourceOf(command, first);
  }

  /** Whether a command that comes after all of them may be computed beside them. */
  admits({ inputs, output }: Recorded): boolean {
    const made = this.#origin(output);
    if (this.#read.has(made) || this.#written.has(made)) return false;
    return !Object.values(inputs).some((value) => value && this.#written.has(this.#origin(value)));
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

  add({ inputs, output }: Recorded): void {
    this.#written.add(this.#origin(output));
    for (const value of Object.values(inputs)) if (value) this.#read.add(this.#origin(value));
  }

  #sourceOf({ inputs }: Recorded, first: FirstProgram | undefined): Value | undefined {
    const value = first?.reads === undefined ? undefined : inputs[first.reads];
    return value && this.#origin(value);
  }
}
