import { ShapeError } from "../../base/errors.ts";
import { bytesIn, type TypedArray, viewBytes } from "../../tensor/dtype.ts";
import { Tensor } from "../../tensor/tensor.ts";
import type { Value } from "../device.ts";
import type { Origin } from "../liveness.ts";
import type { Spot } from "./heap.ts";
import type { LivingValues } from "./living_values.ts";
import type { Region } from "./machine.ts";
import { bytesOf } from "./sizes.ts";

/** Where a step has the Values that it makes: offsets in its memory, in bytes. Views are not among them. */
export interface Offsets {
  get(value: Value): number | undefined;
}

/** Where the numbers of Values are while a step is computed: in the step's own memory, or where they live beyond it. */
export class Places {
  readonly #offsets: Offsets;
  readonly #memory: Region;
  readonly #living: LivingValues;
  readonly #origin: Origin;

  /** @param memory what `offsets` are counted in */
  constructor(offsets: Offsets, memory: Region, living: LivingValues, origin: Origin) {
    this.#offsets = offsets;
    this.#memory = memory;
    this.#living = living;
    this.#origin = origin;
  }

  /** @throws ShapeError where the Value has ended */
  find(value: Value): Spot {
    const origin = this.#origin(value);
    const offset = this.#offsets.get(origin);
    const spot = offset === undefined ? this.#living.get(origin) : { region: this.#memory, offset };
    if (!spot) throw new ShapeError(`a value of shape [${value.shape}] is used after its end`);
    return spot;
  }

  /** The address of a Value's numbers. */
  address(value: Value): number {
    const { region, offset } = this.find(value);
    return region.address + offset;
  }

  /** The address of what the step has at an offset. */
  addressAt(offset: number): number {
    return this.#memory.address + offset;
  }

  /** A Value's numbers: a window, right until memory is allocated, or a copy where they lie in panels. */
  window(value: Value): Tensor {
    const { dtype, shape, layout } = value;
    const { region, offset } = this.find(value);
    if (layout === "panels") return new Tensor(dtype, shape, this.#living.rows(value, { region, offset }));
    const bytes = region.array(Uint8Array, offset, bytesOf(value));
    return new Tensor(dtype, shape, viewBytes(dtype, bytes));
  }

  /** A Value's numbers, for the host to keep. */
  copy(value: Value): Tensor {
    const { dtype, shape, data } = this.window(value);
    return new Tensor(dtype, shape, data.slice());
  }

  /** Writes the host's numbers to where the step has them. Those that it does not need have no place. */
  upload(uploads: ReadonlyMap<Value, TypedArray>): void {
    for (const [value, data] of uploads) {
      const offset = this.#offsets.get(value);
      if (offset !== undefined) this.#memory.write(offset, bytesIn(data));
    }
  }
}
