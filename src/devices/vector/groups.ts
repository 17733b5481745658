import type { Value } from "../device.ts";
import type { VectorForm } from "../kernel.ts";
import type { Origin, Recorded } from "../liveness.ts";

/** A command, and the program that computes it, if there is one. */
interface Formed {
  readonly command: Recorded;
  readonly form: VectorForm | undefined;
}

/**
 * Puts commands that need nothing of each other into groups, in which threads go from one to the next without waiting.
 * What is computed by two programs, or by the reference, stands by itself.
 *
 * @returns the commands, and whether each is computed beside those before it, as far back as to one that is not
 */
export function grouped<C extends Formed>(
  commands: readonly C[],
  origin: Origin,
): (C & { beside: boolean })[] {
  let group = new Group(origin);
  let open = false;
  return commands.map((one) => {
    const joins = one.form !== undefined && one.form.first === undefined;
    const beside = open && joins && group.admits(one.command);
    if (!beside) group = new Group(origin);
    group.add(one.command);
    open = joins;
    return { ...one, beside };
  });
}

/** What the commands of a group read and write. */
class Group {
  readonly #origin: Origin;
  readonly #read = new Set<Value>();
  readonly #written = new Set<Value>();

  constructor(origin: Origin) {
    this.#origin = origin;
  }

  /** Whether a command that comes after all of them may be computed beside them. */
  admits({ inputs, output }: Recorded): boolean {
    const made = this.#origin(output);
    if (this.#read.has(made) || this.#written.has(made)) return false;
    return !Object.values(inputs).some((value) => value && this.#written.has(this.#origin(value)));
  }

  add({ inputs, output }: Recorded): void {
    this.#written.add(this.#origin(output));
    for (const value of Object.values(inputs)) if (value) this.#read.add(this.#origin(value));
  }
}
