import { panelColumns } from "../../codegen/panels.ts";
import { bytesIn, type DType, fromFloat32, toFloat32, viewBytes } from "../../tensor/dtype.ts";
import type { Value, WeightSource } from "../device.ts";
import type { Block } from "./heap.ts";
import type { LivingValues } from "./living_values.ts";
import type { Machine } from "./machine.ts";
import { PanelLoader, type RunProgram } from "./panel_loader.ts";
import { bytesOf, matrixOf } from "./sizes.ts";

/** Bytes that are read at a time. Regions give no arrays across multiples of 4 GiB, so none across these. */
const PIECE = 2 ** 30;

/** Does something while the device does nothing else. */
export type Alone = (work: () => Promise<void>) => Promise<void>;

/**
 * Brings a checkpoint's numbers to where they stay, by the shortest way: the file itself stands in for memory, or is read
 * to where they are to lie; where they have to be converted or laid out in another way, they are read first.
 */
export class WeightLoader {
  readonly #machine: Machine;
  readonly #living: LivingValues;
  readonly #panels: PanelLoader;
  readonly #alone: Alone;

  /**
   * @param run is called inside of `alone` only
   * @param alone throws where the device cannot be used any more
   */
  constructor(machine: Machine, living: LivingValues, run: RunProgram, alone: Alone) {
    this.#machine = machine;
    this.#living = living;
    this.#panels = new PanelLoader(machine, run);
    this.#alone = alone;
  }

  /**
   * Lets a Value live with the numbers of a weight [N, ...] of the same shape, in the Value's type and layout. Where that
   * fails, it does not live.
   *
   * @throws what the source throws, and UnsupportedError where the machine has not so much memory
   */
  async load(value: Value, source: WeightSource): Promise<void> {
    if (value.layout === "panels") return this.#loadPanels(value, source);
    const same = source.dtype === value.dtype;
    if (same && this.#map(value, source)) return;
    const bytes = same && this.#readsInPlace(source) ? undefined : await readAs(value.dtype, source);
    await this.#fill(value, async (block) => {
      if (bytes) block.region.write(block.offset, bytes);
      else await readInto(source, block);
    });
  }

  /** Gives back what was needed for loading. */
  free(): void {
    this.#panels.free();
  }

  /** A few rows at a time: a weight that need not be converted is never whole in memory twice. */
  async #loadPanels(value: Value, source: WeightSource): Promise<void> {
    const { dtype } = value;
    const [N, K] = matrixOf(source.shape);
    const whole = source.dtype === dtype && panelColumns(dtype, K) === K;
    const bytes = whole && this.#readsInPlace(source) ? undefined : await readAs(dtype, source);
    await this.#alone(() =>
      this.#fill(value, (block) => this.#panels.load({ bytes, source, dtype, N, K }, block)),
    );
  }

  /** A tensor that stays in its file, which the system reads into memory as it is used. Tells whether it can. */
  #map(value: Value, { place }: WeightSource): boolean {
    if (!place || !this.#machine.map) return false;
    this.#living.adopt(value, this.#machine.map(place.path, place.offset, bytesOf(value)));
    return true;
  }

  /** While a piece is read, memory is allocated for others: windows have to stay right. */
  #readsInPlace(source: WeightSource): boolean {
    return this.#machine.steady && source.readInto !== undefined;
  }

  async #fill(value: Value, write: (block: Block) => Promise<void>): Promise<void> {
    const block = this.#living.allocate(value);
    try {
      await write(block);
    } catch (error) {
      this.#living.release(value);
      throw error;
    }
  }
}

/** A checkpoint's numbers in the type that is asked for. */
async function readAs(dtype: DType, source: WeightSource): Promise<Uint8Array> {
  const bytes = await source.read();
  if (source.dtype === dtype) return bytes;
  return bytesIn(fromFloat32(dtype, toFloat32(source.dtype, viewBytes(source.dtype, bytes))));
}

/** Reads a tensor's bytes to where they are to lie. */
async function readInto(source: WeightSource, { region, offset, bytes }: Block): Promise<void> {
  for (let at = 0; at < bytes; ) {
    const length = Math.min(bytes - at, PIECE - ((offset + at) % PIECE));
    await source.readInto?.(at, region.array(Uint8Array, offset + at, length));
    at += length;
  }
}
