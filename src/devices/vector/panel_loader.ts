import { packPanels, panelBytes, panelColumns, panelRows } from "../../codegen/panels.ts";
import type { DType } from "../../tensor/dtype.ts";
import { BYTES } from "../../tensor/dtype.ts";
import type { WeightSource } from "../device.ts";
import type { Block } from "./heap.ts";
import type { Machine } from "./machine.ts";
import { Room } from "./room.ts";

/** Rows that wait to be packed take so many bytes, or those of one panel. */
const STAGING = 4 * 2 ** 20;

/** Runs one program on a machine. */
export type RunProgram = (
  key: string,
  program: () => ReturnType<typeof packPanels>,
  args: readonly number[],
  tiles: number,
) => Promise<void>;

/** A weight [N, K] as it is given: its bytes of `dtype` row after row, or a source that they are read from in pieces. */
export interface RowWeight {
  readonly bytes: Uint8Array | undefined;
  readonly source: Pick<WeightSource, "readInto">;
  readonly dtype: DType;
  readonly N: number;
  readonly K: number;
}

/** Lays weights out in panels, a few rows at a time: there is never a second copy of a whole weight on the machine. */
export class PanelLoader {
  readonly #machine: Machine;
  readonly #run: RunProgram;
  /** For rows that wait to be packed. */
  readonly #staging: Room;

  constructor(machine: Machine, run: RunProgram) {
    this.#machine = machine;
    this.#run = run;
    this.#staging = new Room(machine);
  }

  /** Writes a weight into a block in panels. Nothing else may run. */
  async load(weight: RowWeight, block: Block): Promise<void> {
    const { dtype, N, K } = weight;
    const { target } = this.#machine;
    const P = panelRows(target);
    const one = panelBytes(target, dtype, K);
    const most = Math.max(1, Math.floor(STAGING / one));
    const staging = this.#staging.take(Math.min(most, Math.ceil(N / P)) * one);
    for (let panel = 0; panel * P < N; panel += most) {
      const count = Math.min(most, Math.ceil(N / P) - panel);
      const bytes = count * one;
      await writeRows(weight, panel * P, Math.min(count * P, N - panel * P), () =>
        staging.array(Uint8Array, 0, bytes),
      );
      await this.#run(
        `pack_panels|${dtype} ${K}`,
        () => packPanels(target, dtype, K),
        [staging.address, block.address + panel * one],
        count,
      );
    }
  }

  /** Gives back what was needed for loading. */
  free(): void {
    this.#staging.free();
  }
}

/** Writes some rows, each as wide as panels have it, and zeros behind the last. */
async function writeRows(
  { bytes, source, dtype, K }: RowWeight,
  first: number,
  rows: number,
  room: () => Uint8Array,
): Promise<void> {
  const rowBytes = K * BYTES[dtype];
  const padded = panelColumns(dtype, K) * BYTES[dtype];
  room().fill(0, rows * padded);
  if (!bytes) {
    await source.readInto?.(first * rowBytes, room().subarray(0, rows * rowBytes));
    return;
  }
  const stored = bytes.subarray(first * rowBytes, (first + rows) * rowBytes);
  const target = room();
  if (rowBytes === padded) target.set(stored);
  else
    for (let r = 0; r < rows; r++) {
      target.set(stored.subarray(r * rowBytes, (r + 1) * rowBytes), r * padded);
      target.fill(0, r * padded + rowBytes, (r + 1) * padded);
    }
}
