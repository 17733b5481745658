import { CheckpointError } from "../base/errors.ts";
import type { Value } from "../devices/device.ts";
import type { FormatName } from "../kernels/formats/format.ts";

/**
 * What a parameter may lose where weights are kept in few bits. "none": it stays a float; "least": 16 bits, and so does
 * what it is multiplied with; "little": 8 bits at least; "much": as few bits as are wanted.
 */
export type Loss = "none" | "least" | "little" | "much";

/** Numbers that come from the checkpoint. Their name there is the path of fields that leads to them. */
export class Parameter {
  readonly shape: readonly number[];
  /** Said by the module that it belongs to. */
  loss: Loss = "none";
  /** It is multiplied with: where it is kept as floats, a device may lay it out for that. */
  multiplied = false;
  /** What it is multiplied with may be rounded to bfloat16, where that is faster. */
  rounds = false;
  /** How `value` is packed; undefined: it is not. */
  format: FormatName | undefined;
  #value: Value | undefined;

  constructor(...shape: number[]) {
    this.shape = shape;
  }

  get loaded(): boolean {
    return this.#value !== undefined;
  }

  get value(): Value {
    if (!this.#value)
      throw new CheckpointError(`a weight of shape [${this.shape}] was used before it was loaded`);
    return this.#value;
  }

  set value(value: Value) {
    this.#value = value;
  }

  /** Gives the numbers' memory back to their device. */
  free(): void {
    this.#value?.device.free(this.#value);
    this.#value = undefined;
    this.format = undefined;
  }
}

/**
 * A part of a model. Its fields are the checkpoint's keys: parameters, modules, and lists of modules.
 * `forward` notes kernels down and never waits.
 */
export abstract class Module {
  /** All parameters below, with their names: `layers.0.mlp.up_proj.weight`. A shared one comes under each name. */
  *named_parameters(prefix = ""): Generator<[string, Parameter]> {
    for (const [field, child] of Object.entries(this)) yield* parametersOf(`${prefix}${field}`, child);
  }
}

function* parametersOf(name: string, child: unknown): Generator<[string, Parameter]> {
  if (child instanceof Parameter) yield [name, child];
  else if (child instanceof Module) yield* child.named_parameters(`${name}.`);
  else if (Array.isArray(child)) {
    for (const [i, item] of child.entries()) yield* parametersOf(`${name}.${i}`, item);
  }
}
