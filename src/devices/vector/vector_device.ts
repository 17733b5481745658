import { ShapeError } from "../../base/errors.ts";
import { chainProgram } from "../../codegen/chain.ts";
import type { Program } from "../../codegen/instruction.ts";
import { program } from "../../codegen/ir.ts";
import { rowsOfPanels } from "../../codegen/panels.ts";
import { bytesIn, viewBytes } from "../../tensor/dtype.ts";
import { sizeOf, Tensor } from "../../tensor/tensor.ts";
import { type Device, type Spec, Value, type WeightDType, type WeightSource } from "../device.ts";
import type { FirstProgram, HostArrays, KernelInputs, VectorForm, VectorProgram } from "../kernel.ts";
import { lastUses } from "../liveness.ts";
import { nextTurn, TURN } from "../next_turn.ts";
import { type Command, type Recording, RecordingDevice } from "../recording_device.ts";
import type { StepTimes } from "../step_times.ts";
import { CommandList, type WrittenList } from "./command_list.ts";
import { type Place as Beside, grouped } from "./groups.ts";
import { type KeptList, KeptLists } from "./kept_lists.ts";
import { LivingValues } from "./living_values.ts";
import type { Machine, Region } from "./machine.ts";
import { type Outline, outlineOf } from "./outline.ts";
import type { RunProgram } from "./panel_loader.ts";
import { Placement } from "./placement.ts";
import { bytesOf, matrixOf, storedBytes } from "./sizes.ts";
import { StepWatch } from "./step_watch.ts";
import { WeightLoader } from "./weight_loader.ts";

/** Bytes that a program reads and writes, up to which it is not worth while to wait for other threads before the next. */
const SMALL = 98_304;

/** Where a Value's numbers are while a step is computed. */
interface Place {
  region: Region;
  offset: number;
}

/** A command that is ready to run: by a program, or by the reference where there is none. */
interface Ready extends Beside {
  readonly command: Command;
  /** Its number among all that were noted down. */
  readonly owner: number;
  readonly form: VectorForm | undefined;
}

/** Where the numbers of Values that a step makes are. */
interface Places {
  get(value: Value): Place | undefined;
}

/** A step whose commands are to be put into lists. */
interface Layout {
  readonly ready: readonly Ready[];
  readonly places: ReadonlyMap<Value, Place>;
  /** The memory that commands have for themselves. */
  readonly work: ReadonlyMap<Command, Place>;
}

/**
 * Runs vector programs on a machine: native code or WebAssembly. Kernels that have no program are computed by their
 * reference, on windows of the machine's memory.
 */
export class VectorDevice extends RecordingDevice {
  readonly kind: string;
  readonly description: string;
  readonly watch: Device["watch"];
  readonly #machine: Machine;
  readonly #list: CommandList;
  readonly #living: LivingValues;
  readonly #loader: WeightLoader;
  /** Compiled programs as commands name them, by kernel and what was built in. */
  readonly #programs = new Map<string, number>();
  /** Those of the latest step: memory that each step uses again. */
  readonly #marks: unknown[] = [];
  /** Lists of the latest steps. */
  readonly #lists: KeptLists<Place>;
  #told: ((times: StepTimes) => void) | undefined;
  #watch: StepWatch | undefined;
  /** What a step's own Values lie in. Grows to the largest step. */
  #passing: Region | undefined;

  constructor(kind: string, machine: Machine, description: string) {
    super();
    this.kind = kind;
    this.#machine = machine;
    this.#living = new LivingValues(machine);
    this.#list = new CommandList(machine);
    this.#lists = new KeptLists(machine);
    const run: RunProgram = async (key, build, args, tiles) => {
      this.#list.clear();
      this.#list.append({ program: this.#compiled(key, build), args, tiles });
      await this.#compute(this.#list.write());
    };
    this.#loader = new WeightLoader(machine, this.#living, run, (work) => this.#alone(work));
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
    this.#list.free();
    this.#lists.free();
    this.#loader.free();
    this.#passing?.free();
    this.#passing = undefined;
    this.#machine.dispose();
  }

  protected override async compute(
    recording: Recording,
    outputs: readonly Value[],
    signal?: AbortSignal,
  ): Promise<Tensor[]> {
    try {
      const watch = this.#told && new StepWatch(recording);
      this.#watch = watch;
      const places = await this.#run(recording, outputs, signal);
      const computed = performance.now();
      const results = outputs.map((value) => this.#read(value, places));
      for (const value of recording.kept) this.#living.keep(value, this.#find(value, places));
      if (watch) this.#told?.(watch.end(computed));
      return results;
    } finally {
      this.#watch = undefined;
      for (const value of recording.freed) this.release(value);
    }
  }

  /** Runs the list that was written for a step like this, or makes its lists. Tells where the results are. */
  async #run(recording: Recording, outputs: readonly Value[], signal?: AbortSignal): Promise<Places> {
    const outline = outlineOf(recording, outputs, (value) => this.origin(value), this.#marks);
    const known = this.#lists.find(outline.marks);
    const layout = known ? undefined : this.#layOut(recording, outputs);
    const kept = known ?? (layout && this.#keepList(outline, layout));
    const places = kept ? placesIn(kept, outline) : (layout?.places ?? new Map());
    for (const [value, data] of recording.uploads) {
      const place = places.get(value);
      if (place) place.region.write(place.offset, bytesIn(data));
    }
    if (kept) await this.#runKept(kept, recording, signal);
    else if (layout) await this.#runLists(layout, recording, signal);
    return places;
  }

  /** Gives every Value of the step a place in memory; places are used again after a Value's last use. */
  #layOut(recording: Recording, outputs: readonly Value[]): Layout {
    const { commands, uploads } = this.needed(recording, outputs);
    const needed = new Set(commands);
    const origin = (value: Value): Value => this.origin(value);
    const formed = recording.commands.flatMap((command, owner) =>
      needed.has(command) ? [{ command, owner, form: this.#form(command) }] : [],
    );
    const ready = grouped(formed, origin);
    const last = lastUses(commands, [...outputs, ...recording.kept], origin);
    const placement = new Placement();
    const offsets = new Map<Value, number>();
    const work = new Map<Command, number>();
    for (const value of uploads.keys()) offsets.set(value, placement.take(bytesOf(value)));
    // Those of a group are computed at the same time: what one of them uses last ends with all of them.
    const ending: { offset: number | undefined; bytes: number }[] = [];
    let begun = 0;
    for (const [i, { command, form, beside, behind, shares }] of ready.entries()) {
      for (const { offset, bytes } of beside || behind ? [] : ending.splice(0))
        if (offset !== undefined) placement.give(offset, bytes);
      if (!command.inPlace) offsets.set(command.output, placement.take(bytesOf(command.output)));
      if (form?.first && !shares) {
        begun = placement.take(form.first.bytes);
        ending.push({ offset: begun, bytes: form.first.bytes });
      }
      if (form?.first) work.set(command, begun);
      for (const value of last.get(i) ?? [])
        ending.push({ offset: offsets.get(value), bytes: bytesOf(value) });
    }
    const region = this.#passingOf(placement.size);
    const places = <K>(map: Map<K, number>): Map<K, Place> =>
      new Map([...map].map(([key, offset]) => [key, { region, offset }]));
    return { ready, places: places(offsets), work: places(work) };
  }

  /** Writes a step's list for this and later ones, where there is a program for each of its commands. */
  #keepList({ marks, numbers }: Outline, layout: Layout): KeptList<Place> | undefined {
    const { ready, places } = layout;
    if (ready.length === 0 || !ready.every(({ form }) => form)) return undefined;
    const numbered = [...numbers.keys()].map((value) => places.get(value));
    const append = (list: CommandList): void => {
      for (const command of ready) this.#append(list, layout, command);
    };
    const chain = this.#told ? undefined : this.#compiled("chain", () => chainProgram(this.#machine.target));
    return this.#lists.write(marks.slice(), numbered, append, chain);
  }

  #passingOf(bytes: number): Region {
    if (this.#passing && this.#passing.bytes >= bytes) return this.#passing;
    this.#lists.forget();
    this.#passing?.free();
    this.#passing = this.#machine.allocate(bytes);
    return this.#passing;
  }

  /** What threads that were made to leave have left undone is not known, so such a list is not run again. */
  async #runKept({ written }: KeptList<Place>, recording: Recording, signal?: AbortSignal): Promise<void> {
    try {
      await this.#compute(written, signal, recording);
    } catch (error) {
      this.#lists.forget();
      throw error;
    }
  }

  /** Runs commands in order: as long as there are programs for them, many at once. */
  async #runLists(layout: Layout, recording: Recording, signal?: AbortSignal): Promise<void> {
    const list = this.#list;
    const runList = async (): Promise<void> => {
      if (list.length > 0) await this.#compute(list.write(), signal, recording);
    };
    list.clear();
    let turn = performance.now();
    for (const ready of layout.ready) {
      const { command, form } = ready;
      if (form) {
        this.#append(list, layout, ready);
        continue;
      }
      await runList();
      const begin = performance.now();
      this.#runReference(command, layout.places);
      this.#watch?.reference(command, begin);
      if (performance.now() - turn < TURN) continue;
      await nextTurn();
      signal?.throwIfAborted();
      turn = performance.now();
    }
    await runList();
  }

  /** Runs a list on all threads; an abort makes them leave within a tile of work. */
  async #compute(list: WrittenList, signal?: AbortSignal, recording?: Recording): Promise<void> {
    const abort = (): void => this.#machine.abort();
    signal?.addEventListener("abort", abort);
    try {
      await this.#runCommands(list, recording);
    } finally {
      signal?.removeEventListener("abort", abort);
    }
    signal?.throwIfAborted();
  }

  async #runCommands(list: WrittenList, recording?: Recording): Promise<void> {
    const { address, count, owners, behind } = list;
    const [watch, machine] = [this.#watch, this.#machine];
    if (!watch || !machine.runTimed || !recording) return machine.run(address, count);
    const begin = performance.now();
    const times = await machine.runTimed(address, count);
    const kernels = owners.map((owner) => recording.commands[owner]);
    watch.list(kernels, behind, times, begin);
  }

  #form({ kernel, inputs, params }: Command): VectorForm | undefined {
    return kernel.vector?.(inputs as never, params, this.#machine.target);
  }

  #append(
    list: CommandList,
    { places, work }: Layout,
    { command, owner, form, beside, behind, shares }: Ready,
  ): void {
    const own = work.get(command);
    const memory = own && own.region.address + own.offset;
    for (const part of shares ? [form] : [form?.first, form]) {
      if (!part) continue;
      const args = this.#arguments(command, part, places, memory);
      const program = this.#program(command, part, [...args.keys()]);
      const { tiles, streams } = part;
      const small = bytesTouched(command, part) <= SMALL;
      list.append({ program, args: [...args.values()], tiles, streams, beside, behind, small }, owner);
    }
  }

  /** Addresses and numbers that a program works with, by name. */
  #arguments(
    { inputs, output }: Command,
    { numbers = {} }: VectorProgram,
    places: Places,
    work: number | undefined,
  ): Map<string, number> {
    const args = new Map<string, number>();
    for (const [name, value] of Object.entries(inputs))
      if (value) args.set(name, this.#address(value, places));
    args.set("y", this.#address(output, places));
    if (work !== undefined) args.set("work", work);
    for (const [name, number] of Object.entries(numbers)) args.set(name, number);
    return args;
  }

  #program({ kernel }: Command, part: VectorProgram, slots: readonly string[]): number {
    return this.#compiled(`${kernel.name}|${slots}|${part.key}`, () =>
      program(kernel.name, this.#machine.target, slots, (b, named) => part.build(b, named)),
    );
  }

  #compiled(key: string, build: () => Program): number {
    const known = this.#programs.get(key);
    if (known !== undefined) return known;
    const address = this.#machine.compile(build());
    this.#programs.set(key, address);
    return address;
  }

  #runReference({ kernel, inputs, params, output }: Command, places: Places): void {
    const arrays: Record<string, Tensor> = { y: this.#window(output, places) };
    for (const [name, value] of Object.entries(inputs)) if (value) arrays[name] = this.#window(value, places);
    if (kernel.inPlace === undefined) arrays.y.data.fill(0 as never);
    kernel.reference(arrays as HostArrays<KernelInputs>, params);
  }

  /** A Value's numbers: a window, or a copy where they lie in panels. */
  #window(value: Value, places: Places): Tensor {
    const { region, offset } = this.#find(value, places);
    if (value.layout === "panels") return this.#rows(value, region, offset);
    const bytes = region.array(Uint8Array, offset, bytesOf(value));
    return new Tensor(value.dtype, value.shape, viewBytes(value.dtype, bytes));
  }

  #rows(value: Value, region: Region, offset: number): Tensor {
    const { dtype, shape } = value;
    const { target } = this.#machine;
    const [N, K] = matrixOf(shape);
    const bytes = region.array(Uint8Array, offset, storedBytes(value, target));
    return new Tensor(dtype, shape, rowsOfPanels(target, dtype, N, K, viewBytes(dtype, bytes)));
  }

  #read(value: Value, places: Places): Tensor {
    const { dtype, shape, data } = this.#window(value, places);
    return new Tensor(dtype, shape, data.slice());
  }

  #address(value: Value, places: Places): number {
    const { region, offset } = this.#find(value, places);
    return region.address + offset;
  }

  #find(value: Value, places: Places): Place {
    const origin = this.origin(value);
    const place = places.get(origin) ?? this.#living.get(origin);
    if (!place) throw new ShapeError(`a value of shape [${value.shape}] is used after its end`);
    return place;
  }
}

/** The places of a kept list, for the Values of a step like the one that it was written for. */
function placesIn({ places }: KeptList<Place>, { numbers }: Outline): Places {
  return {
    get: (value) => {
      const number = numbers.get(value);
      return number === undefined ? undefined : places[number];
    },
  };
}

/** Bytes that a program of a command reads and writes, or more. */
function bytesTouched({ inputs, output }: Command, part: VectorProgram | FirstProgram): number {
  const sum = (values: readonly (Value | undefined)[]): number =>
    values.reduce((bytes, value) => bytes + (value ? bytesOf(value) : 0), 0);
  if ("bytes" in part && part.reads) return sum([inputs[part.reads]]) + part.bytes;
  return sum([...Object.values(inputs), output]);
}
