import { warnOnce } from "../base/env.ts";
import type { Device, Value } from "../devices/device.ts";
import type { CopyKey, CopyReader, CopyWriter, PackedSpec } from "../hub/packed_copy.ts";
import { openCopy } from "../hub/packed_reader_node.ts";
import { createCopy } from "../hub/packed_writer_node.ts";
import type { FileIdentity } from "../hub/repository.ts";
import type { StoredTensor } from "../hub/weights.ts";
import { checksum } from "../kernels/checksum.ts";
import { LAYOUT_VERSION, packedShape, type WeightFormat } from "../kernels/formats/format.ts";
import { loadPacked } from "./packing.ts";
import type { KeptDType } from "./weight_storage.ts";

/** Bytes of stored weights from which on a copy is kept unasked: below, packing takes a second or less. */
const WORTH_KEEPING = 2 ** 28;

/** Odd, so that no bit of a sum is lost when the sums of a tensor's pieces become one number. */
const MIX = 0x01000193;

/** Where packed weights come from. */
export interface PackedOrigin {
  /** As the user named the model. */
  readonly model: string;
  /** Undefined where the checkpoint does not lie on a disk: then no copy is kept. */
  readonly sources: readonly FileIdentity[] | undefined;
  /** Whether a copy is kept: undefined, where it pays. */
  readonly wanted: boolean | undefined;
}

/** A tensor that is packed in a format. */
export interface ToPack {
  readonly tensor: StoredTensor;
  readonly format: WeightFormat;
}

/**
 * Packed weights with a copy on disk: read from it where there is one, and otherwise packed and written to it.
 */
export class PackedCopy {
  readonly #device: Device;
  readonly #reader: CopyReader | undefined;
  readonly #writer: CopyWriter | undefined;
  #damaged = false;
  /** The write of the tensor before. */
  #writing: Promise<void> = Promise.resolve();

  private constructor(device: Device, reader: CopyReader | undefined, writer: CopyWriter | undefined) {
    this.#device = device;
    this.#reader = reader;
    this.#writer = writer;
  }

  static async open(
    all: readonly ToPack[],
    dtype: KeptDType | "auto",
    origin: PackedOrigin | undefined,
    device: Device,
  ): Promise<PackedCopy> {
    const { model = "", sources, wanted } = origin ?? {};
    const stored = (sources ?? []).reduce((sum, { bytes }) => sum + bytes, 0);
    if (!sources || all.length === 0 || !(wanted ?? stored >= WORTH_KEEPING))
      return new PackedCopy(device, undefined, undefined);
    const tensors = all.map(
      ({ tensor: { name, shape }, format }): PackedSpec => ({
        name,
        shape: packedShape(format, shape[0], shape[1]),
      }),
    );
    const key: CopyKey = { sources, dtype, layout: LAYOUT_VERSION, tensors };
    const reader = await openCopy(key);
    return new PackedCopy(device, reader, reader ? undefined : await createCopy(key, model));
  }

  /** Whether there is one, so that nothing has to be packed. */
  get isThere(): boolean {
    return this.#reader !== undefined;
  }

  /** A tensor's packed bytes on the device. */
  async load({ tensor, format }: ToPack, signal?: AbortSignal): Promise<Value> {
    const copied = await this.#read(tensor.name);
    if (copied) return copied;
    const value = await loadPacked(tensor, format, this.#device, signal);
    if (this.#writer) {
      const [{ data }] = await this.#device.step(() => [value]);
      const sum = await this.#checksum(value);
      await this.#writing;
      this.#writing = this.#writer.add(tensor.name, data as Uint8Array, sum);
    }
    return value;
  }

  /** All is loaded. */
  async commit(): Promise<void> {
    await this.#writer?.commit();
    await this.#reader?.close();
    if (this.#damaged) await this.#reader?.discard();
  }

  /** Loading has failed. */
  async discard(): Promise<void> {
    await this.#writer?.discard();
    await this.#reader?.close();
  }

  /** A tensor of the copy, undefined where that is damaged. */
  async #read(name: string): Promise<Value | undefined> {
    if (!this.#reader) return undefined;
    try {
      const value = await this.#device.load(this.#reader.get(name), "uint8");
      if ((await this.#checksum(value)) === this.#reader.checksum(name)) return value;
      this.#device.free(value);
      this.#report(`bytes of ${name} are not those that were written`);
    } catch (error) {
      this.#report(error instanceof Error ? error.message : String(error));
    }
    return undefined;
  }

  #report(why: string): void {
    warnOnce(`the packed copy of the weights is damaged, and is made anew at the next start: ${why}`);
    this.#damaged = true;
  }

  async #checksum(value: Value): Promise<number> {
    const [{ data }] = await this.#device.step(() => [this.#device.run(checksum, { x: value }, {})]);
    return (data as Int32Array).reduce((sum, word) => (Math.imul(sum, MIX) + word) | 0, 0);
  }
}
