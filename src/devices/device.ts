import type { DType } from "../tensor/dtype.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Kernel, KernelInputs } from "./kernel.ts";
import type { StepTimes } from "./step_times.ts";

/** What is known of a Value before its numbers are: element type and shape. */
export interface Spec {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** How the numbers lie, where that is not row after row: see `codegen/panels.ts`. Only of what `load` gave. */
  readonly layout?: "panels" | undefined;
}

/** A handle to numbers on a device. The numbers may not be computed yet. */
export class Value implements Spec {
  readonly device: Device;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly layout: "panels" | undefined;
  /** The Value that it is a view of. */
  readonly origin: Value | undefined;

  constructor(device: Device, dtype: DType, shape: readonly number[], layout?: "panels", origin?: Value) {
    this.device = device;
    this.dtype = dtype;
    this.shape = shape;
    this.layout = layout;
    this.origin = origin;
  }
}

/** Numbers of a checkpoint, still in their file. */
export interface WeightSource extends Spec {
  /** The tensor's name in the checkpoint, for messages. */
  readonly name: string;
  /** Its bytes, little endian. May be called again. */
  read(): Promise<Uint8Array>;
  /** Fills `target` with its bytes from `offset` on, without a copy between, where it lies in a file as it is. */
  readInto?(offset: number, target: Uint8Array): Promise<void>;
  /** Where its bytes lie in a file that nobody writes to any more, so that the file can stand in for memory. */
  readonly place?: { readonly path: string; readonly offset: number };
}

/** Element types that weights can be kept in. */
export type WeightDType = "float32" | "float16" | "bfloat16";

/** Whether weights can be kept in this type. */
export function isWeightDType(dtype: DType): dtype is WeightDType {
  return dtype === "float32" || dtype === "float16" || dtype === "bfloat16";
}

/** How a step is computed. */
export interface StepOptions {
  signal?: AbortSignal;
  /** Its rows are those of prompts or pictures: `Device.expands` where that is faster. */
  prompt?: boolean;
}

/**
 * Something that computes. All model code runs inside the synchronous `record` of one `step`; kernels that are
 * run there are only noted down, and computed when it returns.
 *
 * Lifetime: what a step makes (outputs of kernels, uploads) ends with the step, except what is `keep`t.
 * What `allocate`, `load` and `keep` gave lives until `free`.
 */
export interface Device {
  /** `reference`, `native`, `wasm` or `webgpu`. */
  readonly kind: string;
  /** One line for people: what computes here, and why this. */
  readonly description: string;
  /** Threads that compute. */
  readonly threads: number;
  /** Products of bfloat16 are faster here than those of float32: of pairs, or by matrix tiles. */
  readonly multipliesPairs: boolean;
  /** Products of packed weights with many rows are faster here where weights are expanded to bfloat16. */
  readonly multipliesExpanded: boolean;
  /** Inside a step: whether packed weights are to be expanded. It is so for all rows of a step, however many there are. */
  readonly expands: boolean;
  /** Bytes that are held for Values now. */
  readonly bytes: number;
  /** Bytes that it can ever hold, where its kind has a limit below that of the machine. */
  readonly capacity?: number | undefined;

  /**
   * Records one step, computes it, and gives the numbers of the Values that `record` returned.
   * `record` is called at once, before `step` returns; steps are computed one after the other, in the order of their
   * calls. What nothing needs (it is not returned, kept, written in place, or an input of what is) is not computed.
   *
   * @throws what `record` throws; nothing of the step is then computed
   * @throws `signal.reason`, where it is aborted before or between kernels. In-place kernels may have run by then.
   * @throws OptionError where a Value is used after its end, or the device was disposed
   */
  step(record: () => readonly Value[], options?: StepOptions): Promise<Tensor[]>;

  /**
   * Notes a kernel down and gives the handle of its output. Only inside a step.
   *
   * @throws ShapeError where the inputs do not fit together
   * @throws OptionError outside a step, or where an input is a Value of another device
   */
  run<I extends KernelInputs, P>(kernel: Kernel<I, P>, inputs: I, params: P): Value;

  /** Numbers from the host as they are now, for this step. Only inside a step. */
  upload(tensor: Tensor): Value;

  /** The same numbers under another shape of the same size; what lies in panels keeps its first dimension. */
  view(value: Value, shape: readonly number[]): Value;

  /** Zeros that live until `free`. */
  allocate(spec: Spec): Value;

  /**
   * Reads a checkpoint's tensor into the device's memory, converted to `dtype`. Lives until `free`.
   *
   * @param dtype "uint8": packed weights, which stay as they are
   * @param layout "panels": it will be multiplied with, [N, ...] as a matrix [N, K]. The device may lay it out for that;
   *   its numbers are read as before.
   */
  load(source: WeightSource, dtype: WeightDType | "uint8", layout?: "panels"): Promise<Value>;

  /** Lets what this step makes outlive it. Only inside a step. */
  keep(value: Value): Value;

  /** Gives a living Value's memory back, once the steps that were called before (and the one it is in) are computed. */
  free(value: Value): void;

  /**
   * Tells where the time of each step goes from now on; not any more, where nobody is given. Steps take a little longer
   * while somebody is told. Only where the device can measure it.
   */
  watch?(told: ((times: StepTimes) => void) | undefined): void;

  /** Waits for the steps that were called before, then gives everything back. Later steps are refused. */
  dispose(): Promise<void>;
}
