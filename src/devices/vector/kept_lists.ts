import type { Value } from "../device.ts";
import { CommandList, type WrittenList } from "./command_list.ts";
import type { Machine, Region } from "./machine.ts";
import { type Outline, sameMarks } from "./outline.ts";
import type { Offsets } from "./places.ts";

/** Steps that take turns: those of one row and of each number of rows that sequences come and go with, of prompts, of drafts. */
const LISTS = 32;

/** The step that a list is written for. */
interface Step {
  readonly marks: Outline["marks"];
  /** What the step's own Values lie in. */
  readonly memory: Region;
  /** Where they are there, as the outline numbers them, in bytes. */
  readonly offsets: readonly (number | undefined)[];
}

/** A list that stands in memory, and the step that it was written for. */
export interface KeptList extends Step {
  readonly written: WrittenList;
}

/** Its memory, and what stands there now. */
interface Slot {
  readonly list: CommandList;
  kept?: KeptList | undefined;
}

/**
 * Lists of commands of the latest steps. To decode a token is to compute the same as for the one before, with other
 * numbers in the same places: the list is written once, and run again as long as all that it was made from is the same.
 */
export class KeptLists {
  /** The latest first. */
  readonly #slots: Slot[];

  constructor(machine: Machine) {
    this.#slots = Array.from({ length: LISTS }, () => ({ list: new CommandList(machine) }));
  }

  /** The list of a step with these marks. */
  find(marks: Outline["marks"]): KeptList | undefined {
    const slot = this.#slots.find(({ kept }) => kept && sameMarks(kept.marks, marks));
    if (slot) this.#toFront(slot);
    return slot?.kept;
  }

  /**
   * Writes a list over the one that was used least recently, and keeps it.
   *
   * @param append fills the list
   * @param chain as `CommandList.write` takes it
   */
  write(step: Step, append: (list: CommandList) => void, chain?: number): KeptList {
    const slot = this.#slots[LISTS - 1];
    slot.kept = undefined;
    slot.list.clear();
    append(slot.list);
    const kept = { ...step, written: slot.list.write(chain) };
    slot.kept = kept;
    this.#toFront(slot);
    return kept;
  }

  /**
   * Lists that name this Value (or all) are not to be run any more. Their memory stays, as one of them may be running.
   */
  forget(value?: Value): void {
    for (const slot of this.#slots) if (!value || slot.kept?.marks.includes(value)) slot.kept = undefined;
  }

  /** Gives the lists' memory back. */
  free(): void {
    this.forget();
    for (const { list } of this.#slots) list.free();
  }

  #toFront(slot: Slot): void {
    this.#slots.splice(this.#slots.indexOf(slot), 1);
    this.#slots.unshift(slot);
  }
}

/** Where a step that a list fits has its Values. */
export function offsetsOf({ offsets }: KeptList, { numbers }: Outline): Offsets {
  return {
    get: (value) => {
      const number = numbers.get(value);
      return number === undefined ? undefined : offsets[number];
    },
  };
}
