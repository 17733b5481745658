import { OptionError, ShapeError } from "../../base/errors.ts";
import { allocate, fromFloat32, type TypedArray, toFloat32, viewBytes } from "../../tensor/dtype.ts";
import { sizeOf, Tensor } from "../../tensor/tensor.ts";
import { type Device, type Spec, Value, type WeightDType, type WeightSource } from "../device.ts";
import type { HostArrays, Kernel, KernelInputs } from "../kernel.ts";

/** Computes for so long, in ms, before the event loop gets a turn. */
const TURN = 8;

/** Gives the event loop a turn. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) =>
    typeof setImmediate === "function" ? setImmediate(resolve) : setTimeout(resolve),
  );
}

/** A kernel that was noted down. */
interface Command {
  inputs: readonly Value[];
  output: Value;
  inPlace: boolean;
  compute(array: (value: Value) => Tensor): void;
}

/** What one step noted down. */
interface Recording {
  commands: Command[];
  uploads: Map<Value, TypedArray>;
  kept: Set<Value>;
  freed: Value[];
}

/**
 * Plain TypeScript: runs each kernel's `reference` form, one after the other, on the calling thread. Slow; it defines
 * what is right.
 */
export class ReferenceDevice implements Device {
  readonly kind = "reference";
  readonly description = "plain TypeScript on one thread (slow; it defines what is right)";
  #living = new Map<Value, TypedArray>();
  /** A view's numbers are those of the Value it was made from. */
  #origins = new WeakMap<Value, Value>();
  #recording: Recording | undefined;
  #tail: Promise<unknown> = Promise.resolve();

  get bytes(): number {
    let sum = 0;
    for (const data of this.#living.values()) sum += data.byteLength;
    return sum;
  }

  async step(record: () => readonly Value[], options: { signal?: AbortSignal } = {}): Promise<Tensor[]> {
    if (this.#recording) throw new OptionError("a step was begun while another was being recorded");
    options.signal?.throwIfAborted();
    const recording: Recording = { commands: [], uploads: new Map(), kept: new Set(), freed: [] };
    this.#recording = recording;
    let outputs: readonly Value[];
    try {
      outputs = record();
    } finally {
      this.#recording = undefined;
    }
    const result = this.#tail.then(() => this.#compute(recording, outputs, options.signal));
    this.#tail = result.catch(() => {});
    return result;
  }

  run<I extends KernelInputs, P>(kernel: Kernel<I, P>, inputs: I, params: P): Value {
    const recording = this.#open();
    const spec = kernel.shape(inputs as never, params);
    const given = Object.values(inputs).filter((value) => value !== undefined);
    const target = kernel.inPlace === undefined ? undefined : inputs[kernel.inPlace];
    const output = target ?? new Value(this, spec.dtype, spec.shape);
    recording.commands.push({
      inputs: given,
      output,
      inPlace: target !== undefined,
      compute(array) {
        const arrays: Record<string, Tensor> = { y: array(output) };
        for (const [name, value] of Object.entries(inputs)) if (value) arrays[name] = array(value);
        kernel.reference(arrays as HostArrays<I>, params);
      },
    });
    return output;
  }

  upload(tensor: Tensor): Value {
    const value = new Value(this, tensor.dtype, tensor.shape);
    this.#open().uploads.set(value, tensor.data);
    return value;
  }

  view(value: Value, shape: readonly number[]): Value {
    if (sizeOf(shape) !== sizeOf(value.shape)) {
      throw new ShapeError(`view: [${value.shape}] cannot be seen as [${shape}]`, {
        expected: value.shape,
        got: shape,
      });
    }
    const view = new Value(this, value.dtype, shape);
    this.#origins.set(view, this.#origin(value));
    return view;
  }

  allocate(spec: Spec): Value {
    const value = new Value(this, spec.dtype, spec.shape);
    this.#living.set(value, allocate(spec.dtype, sizeOf(spec.shape)));
    return value;
  }

  async load(source: WeightSource, dtype: WeightDType): Promise<Value> {
    const bytes = await source.read();
    const stored = viewBytes(source.dtype, bytes);
    const data = source.dtype === dtype ? stored : fromFloat32(dtype, toFloat32(source.dtype, stored));
    const value = new Value(this, dtype, source.shape);
    this.#living.set(value, data);
    return value;
  }

  keep(value: Value): Value {
    this.#open().kept.add(this.#origin(value));
    return value;
  }

  free(value: Value): void {
    const origin = this.#origin(value);
    if (this.#recording) this.#recording.freed.push(origin);
    else this.#tail = this.#tail.then(() => this.#living.delete(origin));
  }

  async dispose(): Promise<void> {
    await this.#tail;
    this.#living.clear();
  }

  #open(): Recording {
    if (!this.#recording) throw new OptionError("kernels can be run inside device.step only");
    return this.#recording;
  }

  #origin(value: Value): Value {
    return this.#origins.get(value) ?? value;
  }

  async #compute(recording: Recording, outputs: readonly Value[], signal?: AbortSignal): Promise<Tensor[]> {
    const { commands, kept, freed } = recording;
    const passing = new Map(recording.uploads);
    const find = (value: Value): Tensor => {
      const origin = this.#origin(value);
      const data = passing.get(origin) ?? this.#living.get(origin);
      if (!data) throw new ShapeError(`a value of shape [${value.shape}] is used after its end`);
      return new Tensor(value.dtype, value.shape, data);
    };
    const lastUse = this.#lastUses(commands, outputs, kept);
    try {
      let turn = performance.now();
      for (const [i, command] of commands.entries()) {
        if (performance.now() - turn > TURN) {
          await nextTurn();
          signal?.throwIfAborted();
          turn = performance.now();
        }
        const { output } = command;
        if (!command.inPlace) passing.set(output, allocate(output.dtype, sizeOf(output.shape)));
        command.compute(find);
        for (const value of lastUse.get(i) ?? []) passing.delete(value);
      }
      const results = outputs.map((value) => {
        const { dtype, shape, data } = find(value);
        return new Tensor(dtype, shape, data.slice());
      });
      for (const value of kept) this.#keepNumbers(value, passing);
      return results;
    } finally {
      for (const value of freed) this.#living.delete(value);
    }
  }

  #keepNumbers(value: Value, passing: Map<Value, TypedArray>): void {
    const data = passing.get(value);
    if (data) this.#living.set(value, data);
  }

  /** For each command, the passing Values that nothing needs after it. */
  #lastUses(commands: Command[], outputs: readonly Value[], kept: Set<Value>): Map<number, Value[]> {
    const last = new Map<Value, number>();
    for (const [i, command] of commands.entries())
      for (const value of [...command.inputs, command.output]) last.set(this.#origin(value), i);
    for (const value of [...outputs, ...kept]) last.delete(this.#origin(value));
    const uses = new Map<number, Value[]>();
    for (const [value, i] of last) uses.set(i, [...(uses.get(i) ?? []), value]);
    return uses;
  }
}
