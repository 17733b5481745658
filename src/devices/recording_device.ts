import { OptionError, ShapeError } from "../base/errors.ts";
import type { TypedArray } from "../tensor/dtype.ts";
import { sizeOf, type Tensor } from "../tensor/tensor.ts";
import {
  type Device,
  type Spec,
  type StepOptions,
  Value,
  type WeightDType,
  type WeightSource,
} from "./device.ts";
import type { Kernel, KernelInputs } from "./kernel.ts";
import { neededCommands } from "./liveness.ts";

/** A kernel of any inputs, as a device keeps it. */
export type AnyKernel = Kernel<KernelInputs, unknown>;

/** A kernel that was noted down. */
export interface Command {
  kernel: AnyKernel;
  inputs: KernelInputs;
  params: unknown;
  output: Value;
  inPlace: boolean;
}

/** What one step noted down. */
export interface Recording {
  commands: Command[];
  /** Numbers from the host, by the Value that stands for them. */
  uploads: Map<Value, TypedArray>;
  /** Values that outlive the step. */
  kept: Set<Value>;
  /** Values to be freed after the step. */
  freed: Value[];
  /** Its rows are those of prompts or pictures. */
  prompt: boolean;
  /** When `step` was called, and when all was noted down, as `performance.now()` counts. */
  begun: number;
  noted: number;
}

/**
 * What devices have in common: a step is noted down whole, then computed after the steps before it. A subclass computes
 * a recording, and keeps the numbers of Values that live on.
 */
export abstract class RecordingDevice implements Device {
  abstract readonly kind: string;
  abstract readonly description: string;
  abstract readonly threads: number;
  abstract readonly multipliesPairs: boolean;
  abstract readonly multipliesExpanded: boolean;
  abstract readonly bytes: number;
  #recording: Recording | undefined;
  #tail: Promise<unknown> = Promise.resolve();
  #disposed = false;

  get expands(): boolean {
    return this.multipliesExpanded && this.#recording?.prompt === true;
  }

  abstract allocate(spec: Spec): Value;
  abstract load(source: WeightSource, dtype: WeightDType | "uint8", layout?: "panels"): Promise<Value>;
  /**
   * Computes what is needed of a step, and gives the numbers of `outputs`. Releases `freed` in any case.
   */
  protected abstract compute(
    recording: Recording,
    outputs: readonly Value[],
    signal?: AbortSignal,
  ): Promise<Tensor[]>;
  /** Gives a living Value's memory back. */
  protected abstract release(value: Value): void;
  /** Gives everything back. Nothing is being computed. */
  protected abstract close(): Promise<void> | void;

  async step(record: () => readonly Value[], options: StepOptions = {}): Promise<Tensor[]> {
    if (this.#recording) throw new OptionError("a step was begun while another was being recorded");
    this.checkUsable();
    options.signal?.throwIfAborted();
    const recording = emptyRecording(options.prompt);
    this.#recording = recording;
    let outputs: readonly Value[];
    try {
      outputs = record();
    } finally {
      this.#recording = undefined;
    }
    recording.noted = performance.now();
    return this.afterSteps(() => {
      if (options.signal?.aborted) for (const value of recording.freed) this.release(value);
      options.signal?.throwIfAborted();
      return this.compute(recording, outputs, options.signal);
    });
  }

  /** Does something that needs the device for itself, after the steps that were called before. */
  protected afterSteps<T>(work: () => T | Promise<T>): Promise<T> {
    const result = this.#tail.then(work);
    this.#tail = result.catch(() => {});
    return result;
  }

  run<I extends KernelInputs, P>(kernel: Kernel<I, P>, inputs: I, params: P): Value {
    const recording = this.#open();
    for (const value of Object.values(inputs)) if (value) this.origin(value);
    const spec = kernel.shape(inputs as never, params);
    const target = kernel.inPlace === undefined ? undefined : inputs[kernel.inPlace];
    const output = target ?? new Value(this, spec.dtype, spec.shape);
    const erased = kernel as unknown as AnyKernel;
    recording.commands.push({ kernel: erased, inputs, params, output, inPlace: target !== undefined });
    return output;
  }

  upload(tensor: Tensor): Value {
    const value = new Value(this, tensor.dtype, tensor.shape);
    this.#open().uploads.set(value, tensor.data.slice());
    return value;
  }

  view(value: Value, shape: readonly number[]): Value {
    const rows = value.layout === "panels" ? value.shape[0] : shape[0];
    if (sizeOf(shape) !== sizeOf(value.shape) || shape[0] !== rows) {
      throw new ShapeError(`view: [${value.shape}] cannot be seen as [${shape}]`, {
        expected: value.shape,
        got: shape,
      });
    }
    return new Value(this, value.dtype, shape, value.layout, this.origin(value));
  }

  keep(value: Value): Value {
    this.#open().kept.add(this.origin(value));
    return value;
  }

  free(value: Value): void {
    const origin = this.origin(value);
    if (this.#recording) this.#recording.freed.push(origin);
    else this.#tail = this.#tail.then(() => this.release(origin));
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    await this.#tail;
    await this.close();
  }

  /** @throws OptionError where the device was disposed */
  protected checkUsable(): void {
    if (this.#disposed)
      throw new OptionError(`the ${this.kind} device was disposed and cannot be used again`);
  }

  /** The Value whose numbers a view shows; itself for one that is no view. */
  protected origin(value: Value): Value {
    if (value.device !== this) {
      throw new OptionError(`a value of a ${value.device.kind} device was given to another, ${this.kind}`);
    }
    return value.origin ?? value;
  }

  /** What of a step somebody needs. */
  protected needed(
    { commands, uploads, kept }: Recording,
    outputs: readonly Value[],
  ): Pick<Recording, "commands" | "uploads"> {
    const origin = (value: Value): Value => this.origin(value);
    const results = [...outputs, ...kept].map(origin);
    const needed = neededCommands(commands, results, origin);
    const used = new Set(results);
    for (const { inputs } of needed)
      for (const value of Object.values(inputs)) if (value) used.add(origin(value));
    return { commands: needed, uploads: new Map([...uploads].filter(([value]) => used.has(value))) };
  }

  #open(): Recording {
    if (!this.#recording) throw new OptionError("kernels can be run inside device.step only");
    return this.#recording;
  }
}

function emptyRecording(prompt = false): Recording {
  const begun = performance.now();
  return { commands: [], uploads: new Map(), kept: new Set(), freed: [], prompt, begun, noted: begun };
}
