import { OptionError } from "../../base/errors.ts";
import { allocate, fromFloat32, type TypedArray, toFloat32, viewBytes } from "../../tensor/dtype.ts";
import { sizeOf, Tensor } from "../../tensor/tensor.ts";
import { type Spec, Value, type WeightDType, type WeightSource } from "../device.ts";
import { lastUses } from "../liveness.ts";
import { nextTurn, TURN } from "../next_turn.ts";
import { type Recording, RecordingDevice } from "../recording_device.ts";
import { runReference } from "../run_reference.ts";

/**
 * Plain TypeScript: runs each kernel's `reference` form, one after the other, on the calling thread. Slow; it defines
 * what is right.
 */
export class ReferenceDevice extends RecordingDevice {
  readonly kind = "reference";
  readonly threads = 1;
  readonly multipliesPairs = false;
  readonly multipliesExpanded: boolean = false;
  readonly description: string;
  readonly #living = new Map<Value, TypedArray>();

  /** @param why this device and no faster one, for people */
  constructor(why = "it defines what is right") {
    super();
    this.description = `plain TypeScript on one thread (slow; ${why})`;
  }

  get bytes(): number {
    let sum = 0;
    for (const data of this.#living.values()) sum += data.byteLength;
    return sum;
  }

  allocate(spec: Spec): Value {
    const value = new Value(this, spec.dtype, spec.shape);
    this.#living.set(value, allocate(spec.dtype, sizeOf(spec.shape)));
    return value;
  }

  async load(source: WeightSource, dtype: WeightDType | "uint8"): Promise<Value> {
    const bytes = await source.read();
    const stored = viewBytes(source.dtype, bytes);
    const data = source.dtype === dtype ? stored : fromFloat32(dtype, toFloat32(source.dtype, stored));
    const value = new Value(this, dtype, source.shape);
    this.#living.set(value, data);
    return value;
  }

  protected override release(value: Value): void {
    this.#living.delete(value);
  }

  protected override close(): void {
    this.#living.clear();
  }

  protected override async compute(
    recording: Recording,
    outputs: readonly Value[],
    signal?: AbortSignal,
  ): Promise<Tensor[]> {
    const { kept, freed } = recording;
    const { commands, uploads } = this.needed(recording, outputs);
    const passing = new Map(uploads);
    const find = (value: Value): Tensor => this.#find(value, passing);
    const last = lastUses(commands, [...outputs, ...kept], (value) => this.origin(value));
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
        runReference(command, find);
        for (const value of last.get(i) ?? []) passing.delete(value);
      }
      const results = outputs.map((value) => {
        const { dtype, shape, data } = find(value);
        return new Tensor(dtype, shape, data.slice());
      });
      for (const value of kept) this.#living.set(value, find(value).data);
      return results;
    } finally {
      for (const value of freed) this.release(value);
    }
  }

  #find(value: Value, passing: ReadonlyMap<Value, TypedArray>): Tensor {
    const origin = this.origin(value);
    const data = passing.get(origin) ?? this.#living.get(origin);
    if (data) return new Tensor(value.dtype, value.shape, data);
    throw new OptionError(
      `a value of shape [${value.shape}] is used after its end: what a step makes ends with it, unless it is kept`,
    );
  }
}
