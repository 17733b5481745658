import type { Value } from "../device.ts";
import type { VectorForm } from "../kernel.ts";
import { lastUses, type Origin } from "../liveness.ts";
import type { Command, Recording } from "../recording_device.ts";
import { grouped, type Place } from "./groups.ts";
import { Placement } from "./placement.ts";
import { bytesOf } from "./sizes.ts";

/** A command of a step, and the program that computes it: none where the reference does. */
interface Formed {
  readonly command: Command;
  /** Its number among all that were noted down. */
  readonly owner: number;
  readonly form: VectorForm | undefined;
}

/** A command that is ready to be put into a list, or to be computed by its reference. */
export interface Ready extends Formed, Place {
  /** Where the memory of its first program begins, if it has one. */
  readonly work: number | undefined;
}

/** How a step lies in memory of its own, which need not exist yet. All places are offsets in bytes. */
export interface Layout {
  /** What is to be computed, in order. */
  readonly commands: readonly Ready[];
  /** Where the Values are that the step makes, and those of its uploads that it needs. */
  readonly offsets: ReadonlyMap<Value, number>;
  /** How much memory there must be. */
  readonly bytes: number;
}

/**
 * Groups what somebody needs of a step, and gives every Value of it a place; places are used again after a Value's last
 * use.
 *
 * @param needed what of the step that is
 * @param formOf the program that computes a command
 */
export function layOut(
  { commands, kept }: Pick<Recording, "commands" | "kept">,
  outputs: readonly Value[],
  needed: Pick<Recording, "commands" | "uploads">,
  origin: Origin,
  formOf: (command: Command) => VectorForm | undefined,
): Layout {
  const computed = new Set(needed.commands);
  const formed = commands.flatMap((command, owner): Formed[] =>
    computed.has(command) ? [{ command, owner, form: formOf(command) }] : [],
  );
  const last = lastUses(needed.commands, [...outputs, ...kept], origin);
  return placed(grouped(formed, origin), needed.uploads.keys(), last);
}

/** @param last the Values that nothing uses after a command, by its number among those that are computed */
function placed(
  commands: readonly (Formed & Place)[],
  uploads: Iterable<Value>,
  last: ReadonlyMap<number, readonly Value[]>,
): Layout {
  const placement = new Placement();
  const offsets = new Map<Value, number>();
  for (const value of uploads) offsets.set(value, placement.take(bytesOf(value)));
  // Those of a group are computed at the same time: what one of them uses last ends with all of them.
  const ending: { offset: number | undefined; bytes: number }[] = [];
  let begun: number | undefined;
  const ready = commands.map(({ command, owner, form, beside, behind, shares }, i): Ready => {
    for (const { offset, bytes } of beside || behind ? [] : ending.splice(0))
      if (offset !== undefined) placement.give(offset, bytes);
    if (!command.inPlace) offsets.set(command.output, placement.take(bytesOf(command.output)));
    if (form?.first && !shares) {
      begun = placement.take(form.first.bytes);
      ending.push({ offset: begun, bytes: form.first.bytes });
    }
    for (const value of last.get(i) ?? []) ending.push({ offset: offsets.get(value), bytes: bytesOf(value) });
    return { command, owner, form, beside, behind, shares, work: form?.first && begun };
  });
  return { commands: ready, offsets, bytes: placement.size };
}
