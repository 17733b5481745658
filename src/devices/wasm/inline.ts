import { COMMAND, SCRATCH_BYTES } from "../../codegen/step.ts";
import { nextTurn, TURN } from "../next_turn.ts";
import type { WasmMemory } from "./memory.ts";
import type { Runner } from "./runner.ts";

type Compiled = (block: number, tile: number, scratch: number) => void;

/** Runs steps on the calling thread, a few tiles at a time, so that its event loop stays alive. */
export class InlineRunner implements Runner {
  readonly threads = 1;
  readonly #memory: WasmMemory;
  readonly #scratch: number;
  readonly #table = new WebAssembly.Table({ element: "anyfunc", initial: 0 });
  #aborted = false;

  constructor(memory: WasmMemory) {
    this.#memory = memory;
    this.#scratch = memory.allocate(SCRATCH_BYTES).address;
  }

  async run(
    module: WebAssembly.Module | undefined,
    programs: number,
    list: number,
    count: number,
  ): Promise<void> {
    this.#aborted = false;
    const { memory } = this.#memory;
    this.#table.grow(programs - this.#table.length);
    if (module) await WebAssembly.instantiate(module, { env: { memory, table: this.#table } });
    let turn = performance.now();
    for (let i = 0; i < count && !this.#aborted; i++) {
      const command = new DataView(memory.buffer, list + i * COMMAND.bytes, COMMAND.bytes);
      const program = this.#table.get(command.getUint32(COMMAND.program, true)) as Compiled;
      const block = command.getUint32(COMMAND.arguments, true);
      const tiles = command.getUint32(COMMAND.tiles, true);
      for (let tile = 0; tile < tiles && !this.#aborted; tile++) {
        program(block, tile, this.#scratch);
        if (performance.now() - turn < TURN) continue;
        await nextTurn();
        turn = performance.now();
      }
    }
  }

  abort(): void {
    this.#aborted = true;
  }

  async stop(): Promise<void> {
    this.abort();
  }
}
