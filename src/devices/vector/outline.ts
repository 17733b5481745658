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
 */
export function outlineOf(
  { commands, uploads, kept }: Recording,
  outputs: readonly Value[],
  origin: Origin,
): Outline {
  const marks: unknown[] = [];
  const numbers = new Map<Value, number>();
  /** A Value of the step is marked by its number, one that lives beyond it by itself. */
  const mark = (value: Value): void => {
    const from = origin(value);
    marks.push(numbers.get(from) ?? from);
    if (from !== value) marks.push(value.dtype, value.shape.length, ...value.shape);
  };
  for (const value of uploads.keys()) {
    numbers.set(value, numbers.size);
    marks.push(value.dtype, value.shape.length, ...value.shape);
  }
  for (const { kernel, inputs, params, output, inPlace } of commands) {
    marks.push(kernel);
    markParams(marks, params);
    for (const name of Object.keys(inputs)) {
      const value = inputs[name];
      marks.push(name);
      if (value) mark(value);
    }
    if (!inPlace) numbers.set(output, numbers.size);
  }
  marks.push(kept.size, outputs.length);
  for (const value of [...kept, ...outputs]) mark(value);
  return { marks, numbers };
}

/** Whether two steps have the same list of commands. */
export function sameMarks(a: readonly unknown[], b: readonly unknown[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (!Object.is(a[i], b[i])) return false;
  return true;
}

/** Numbers, texts and the like; of what else there may be, nobody knows that it has not changed. */
function markParams(marks: unknown[], params: unknown): void {
  const own = params as Readonly<Record<string, unknown>>;
  for (const name of Object.keys(own)) {
    const value = own[name];
    marks.push(name, typeof value === "object" && value !== null ? Symbol(name) : value);
  }
}
