import { sizeOf, type Tensor } from "../../tensor/tensor.ts";
import { type Device, type Spec, Value, type WeightDType, type WeightSource } from "../device.ts";
import type { VectorForm } from "../kernel.ts";
import type { Origin } from "../liveness.ts";
import { type Command, type Recording, RecordingDevice } from "../recording_device.ts";
import type { StepTimes } from "../step_times.ts";
import type { CommandList } from "./command_list.ts";
import { type KeptList, KeptLists, offsetsOf } from "./kept_lists.ts";
import { type Layout, layOut } from "./layout.ts";
import { LivingValues } from "./living_values.ts";
import type { Machine, Region } from "./machine.ts";
import { type Outline, outlineOf } from "./outline.ts";
import { Places } from "./places.ts";
import { Programs } from "./programs.ts";
import { Room } from "./room.ts";
import { Runner, type RunOptions } from "./runner.ts";
import { StepWatch } from "./step_watch.ts";
import { WeightLoader } from "./weight_loader.ts";

/**
 * Runs vector programs on a machine: native code or WebAssembly. Kernels that have no program are computed by their
 * reference, on windows of the machine's memory.
 */
export class VectorDevice extends RecordingDevice {
  readonly kind: string;
  readonly description: string;
  readonly watch: Device["watch"];
  readonly #machine: Machine;
  readonly #living: LivingValues;
  readonly #programs: Programs;
  readonly #runner: Runner;
  readonly #loader: WeightLoader;
  /** Lists of the latest steps. */
  readonly #lists: KeptLists;
  /** What tells the latest step from others: memory that each step uses again. */
  readonly #marks: unknown[] = [];
  /** What a step's own Values lie in. Grows to the largest step. */
  readonly #passing: Room;
  /** Who wants to know where the time of steps goes. */
  #told: ((times: StepTimes) => void) | undefined;
  readonly #origin: Origin = (value) => this.origin(value);

  constructor(kind: string, machine: Machine, description: string) {
    super();
    this.kind = kind;
    this.#machine = machine;
    this.#living = new LivingValues(machine);
    this.#programs = new Programs(machine);
    this.#runner = new Runner(machine, this.#programs);
    this.#loader = new WeightLoader(machine, this.#living, this.#runner.runProgram, (work) =>
      this.#alone(work),
    );
    this.#lists = new KeptLists(machine);
    this.#passing = new Room(machine);
    this.description = description;
    if (machine.runTimed) this.watch = (told) => this.#tell(told);
  }

  /** What each kernel takes is told of lists without chains. */
  #tell(told: ((times: StepTimes) => void) | undefined): void {
    this.#lists.forget();
    this.#told = told;
  }

  get capacity(): number | undefined {
    return this.#machine.capacity;
  }

  get multipliesPairs(): boolean {
    const { bf16Dot, bf16Tiles } = this.#machine.target;
    return bf16Dot || bf16Tiles;
  }

  get multipliesExpanded(): boolean {
    return this.#machine.target.bf16Tiles;
  }

  get threads(): number {
    return this.#machine.threads;
  }

  get bytes(): number {
    return this.#living.bytes;
  }

  allocate({ dtype, shape }: Spec): Value {
    const value = new Value(this, dtype, shape);
    this.#living.allocate(value);
    return value;
  }

  async load(source: WeightSource, dtype: WeightDType | "uint8", layout?: "panels"): Promise<Value> {
    const multiplied = dtype !== "uint8" && sizeOf(source.shape) > 0;
    const value = new Value(this, dtype, source.shape, multiplied ? layout : undefined);
    await this.#loader.load(value, source);
    return value;
  }

  /** After the steps that were called before, and before those that are called later. */
  #alone(work: () => Promise<void>): Promise<void> {
    return this.afterSteps(() => {
      this.checkUsable();
      return work();
    });
  }

  protected override release(value: Value): void {
    if (this.#living.release(value)) this.#lists.forget(value);
  }

  protected override async close(): Promise<void> {
    await this.#machine.stop();
    this.#living.dispose();
    this.#runner.free();
    this.#lists.free();
    this.#loader.free();
    this.#passing.free();
    this.#machine.dispose();
  }

  protected override async compute(
    recording: Recording,
    outputs: readonly Value[],
    signal?: AbortSignal,
  ): Promise<Tensor[]> {
    try {
      const watch = this.#told && new StepWatch(recording);
      const places = await this.#run(recording, outputs, { signal, watch });
      const computed = performance.now();
      const results = outputs.map((value) => places.copy(value));
      for (const value of recording.kept) this.#living.keep(value, places.find(value));
      if (watch) this.#told?.(watch.end(computed));
      return results;
    } finally {
      for (const value of recording.freed) this.release(value);
    }
  }

  /** Runs the list that was written for a step like this, or makes its lists. Tells where the results are. */
  async #run(recording: Recording, outputs: readonly Value[], options: RunOptions): Promise<Places> {
    const outline = outlineOf(recording, outputs, this.#origin, this.#marks);
    const kept = this.#lists.find(outline.marks);
    if (!kept) return this.#runNew(recording, outputs, outline, options);
    const places = new Places(offsetsOf(kept, outline), kept.memory, this.#living, this.#origin);
    places.upload(recording.uploads);
    await this.#runKept(kept, options);
    return places;
  }

  /** Lays a step out, and runs it: by a list that is kept, where its commands can be one. */
  async #runNew(
    recording: Recording,
    outputs: readonly Value[],
    outline: Outline,
    options: RunOptions,
  ): Promise<Places> {
    const formOf = (command: Command): VectorForm | undefined => this.#programs.formOf(command);
    const needed = this.needed(recording, outputs);
    const layout = layOut(recording, outputs, needed, this.#origin, formOf);
    const memory = this.#memoryOf(layout.bytes);
    const places = new Places(layout.offsets, memory, this.#living, this.#origin);
    const kept = this.#keepList(outline, layout, memory, places);
    places.upload(recording.uploads);
    if (kept) await this.#runKept(kept, options);
    else await this.#runner.runEach(layout.commands, places, options);
    return places;
  }

  /** Writes a step's list for this and later ones, where there is a program for each of its commands. */
  #keepList(
    { marks, numbers }: Outline,
    layout: Layout,
    memory: Region,
    places: Places,
  ): KeptList | undefined {
    const { commands, offsets } = layout;
    if (commands.length === 0 || !commands.every(({ form }) => form)) return undefined;
    const numbered = [...numbers.keys()].map((value) => offsets.get(value));
    const append = (list: CommandList): void => {
      for (const ready of commands) this.#programs.append(list, ready, places);
    };
    const chain = this.#told ? undefined : this.#programs.chain();
    return this.#lists.write({ marks: marks.slice(), memory, offsets: numbered }, append, chain);
  }

  /** What threads that were made to leave have left undone is not known, so such a list is not run again. */
  async #runKept({ written }: KeptList, options: RunOptions): Promise<void> {
    try {
      await this.#runner.run(written, options);
    } catch (error) {
      this.#lists.forget();
      throw error;
    }
  }

  /** Memory for a step's own Values. Lists name addresses in it, and end where it moves. */
  #memoryOf(bytes: number): Region {
    if (!this.#passing.has(bytes)) this.#lists.forget();
    return this.#passing.take(bytes);
  }
}
