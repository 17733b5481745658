import type { Value } from "../device.ts";
import { CommandList, type WrittenList } from "./command_list.ts";
import type { Machine } from "./machine.ts";
import { type Outline, sameMarks } from "./outline.ts";

/** Steps that take turns: those of one row and of each number of rows that sequences come and go with, of prompts, of drafts. */
const LISTS = 32;

/** A list that stands in memory, and the step that it was written for. */
export interface KeptList<P> {
  readonly marks: Outline["marks"];
  readonly written: WrittenList;
  /** Where the numbers of the step's Values are, as the outline numbers them. */
  readonly places: readonly (P | undefined)[];
}

/** Its memory, and what stands there now. */
interface Slot<P> {
  readonly list: CommandList;
  kept?: KeptList<P> | undefined;
}

/**
 * Lists of commands of the latest steps. To decode a token is to compute the same as for the one before, with other
 * numbers in the same places: the list is written once, and run again as long as all that it was made from is the same.
 */
export class KeptLists<P> {
  /** The latest first. */
  readonly #slots: Slot<P>[];

  constructor(machine: Machine) {
    this.#slots = Array.from({ length: LISTS }, () => ({ list: new CommandList(machine) }));
  }

  /** The list of a step with these marks. */
  find(marks: Outline["marks"]): KeptList<P> | undefined {
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
  write(
    marks: Outline["marks"],
    places: KeptList<P>["places"],
    append: (list: CommandList) => void,
    chain?: number,
  ): KeptList<P> {
    const slot = this.#slots[LISTS - 1];
    slot.kept = undefined;
    slot.list.clear();
    append(slot.list);
    const kept = { marks, places, written: slot.list.write(chain) };
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

  #toFront(slot: Slot<P>): void {
    this.#slots.splice(this.#slots.indexOf(slot), 1);
    this.#slots.unshift(slot);
  }
}
