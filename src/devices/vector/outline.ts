import type { Value } from "../device.ts";
import type { Origin } from "../liveness.ts";
import type { Recording } from "../recording_device.ts";

/** What a step computes, apart from the numbers that are uploaded. */
export interface Outline {
  /** Two steps whose marks are the same one by one have the same list of commands, if memory stays where it is. */
  readonly marks: readonly unknown[];
  /** The Values that the step makes, numbered: uploads, then outputs of commands. */
  readonly numbers: ReadonlyMap<Value, number>;
}

/**
 * Notes down all that a step's list of commands comes from: kernels with their parameters, what their inputs are called
 * and where they come from, and the shapes of uploads and views. Shapes of outputs follow from these.
 *
 * @param marks where the marks are to stand, in the place of those that stood there: thousands in every step
 */
export function outlineOf(
  { commands, uploads, kept }: Recording,
  outputs: readonly Value[],
  origin: Origin,
  marks: unknown[] = [],
): Outline {
  let count = 0;
  const numbers = new Map<Value, number>();
  const markSpec = ({ dtype, shape }: Value): void => {
    marks[count++] = dtype;
    marks[count++] = shape.length;
    for (const size of shape) marks[count++] = size;
  };
  /** A Value of the step is marked by its number, one that lives beyond it by itself. */
  const mark = (value: Value): void => {
    const from = origin(value);
    marks[count++] = numbers.get(from) ?? from;
    if (from !== value) markSpec(value);
  };
  for (const value of uploads.keys()) {
    numbers.set(value, numbers.size);
    markSpec(value);
  }
  for (const { kernel, inputs, params, output, inPlace } of commands) {
    marks[count++] = kernel;
    const own = params as Readonly<Record<string, unknown>>;
    for (const name in own) {
      marks[count++] = name;
      marks[count++] = plain(own[name]);
    }
    for (const name in inputs) {
      const value = inputs[name];
      marks[count++] = name;
      if (value) mark(value);
    }
    if (!inPlace) numbers.set(output, numbers.size);
  }
  marks[count++] = kept.size;
  marks[count++] = outputs.length;
  for (const value of kept) mark(value);
  for (const value of outputs) mark(value);
  marks.length = count;
  return { marks, numbers };
}

/** Whether two steps have the same list of commands. */
export function sameMarks(a: readonly unknown[], b: readonly unknown[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (!Object.is(a[i], b[i])) return false;
  return true;
}

/** Numbers, texts and the like; of what else there may be, nobody knows that it has not changed. */
function plain(value: unknown): unknown {
  return typeof value === "object" && value !== null ? Symbol("another") : value;
}
