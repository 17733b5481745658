import { ShapeError } from "../../base/errors.ts";
import { program } from "../../codegen/ir.ts";
import { panelBytes, panelColumns, panelRows, rowsOfPanels } from "../../codegen/panels.ts";
import { BYTES, type DType, fromFloat32, type TypedArray, toFloat32, viewBytes } from "../../tensor/dtype.ts";
import { sizeOf, Tensor } from "../../tensor/tensor.ts";
import { type Device, type Spec, Value, type WeightDType, type WeightSource } from "../device.ts";
import type { HostArrays, KernelInputs, VectorForm, VectorProgram } from "../kernel.ts";
import { lastUses } from "../liveness.ts";
import { nextTurn, TURN } from "../next_turn.ts";
import { type Command, type Recording, RecordingDevice } from "../recording_device.ts";
import type { StepTimes } from "../step_times.ts";
import { CommandList } from "./command_list.ts";
import { type Block, Heap } from "./heap.ts";
import type { Machine, Region } from "./machine.ts";
import { PanelLoader } from "./panel_loader.ts";
import { Placement } from "./placement.ts";
import { StepWatch } from "./step_watch.ts";

/** Bytes that are read at a time. Regions give no arrays across multiples of 4 GiB, so none across these. */
const PIECE = 2 ** 30;

/** Where a Value's numbers are while a step is computed. */
interface Place {
  region: Region;
  offset: number;
}

/** A command that is ready to run: by a program, or by the reference where there is none. */
interface Ready {
  readonly command: Command;
  readonly form: VectorForm | undefined;
}

/** Where the numbers of a step's Values are, and the memory that each command has for itself. */
interface Places {
  readonly values: Map<Value, Place>;
  readonly work: Map<Command, Place>;
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
  readonly #heap: Heap;
  readonly #list: CommandList;
  readonly #panels: PanelLoader;
  readonly #living = new Map<Value, Block>();
  /** Compiled programs as commands name them, by kernel and what was built in. */
  readonly #programs = new Map<string, number>();
  /** The kernel that each command of the list belongs to. */
  readonly #owners: Command[] = [];
  #told: ((times: StepTimes) => void) | undefined;
  #watch: StepWatch | undefined;
  /** What a step's own Values lie in. Grows to the largest step. */
  #passing: Region | undefined;

  constructor(kind: string, machine: Machine, description: string) {
    super();
    this.kind = kind;
    this.#machine = machine;
    this.#heap = new Heap(machine);
    this.#list = new CommandList(machine);
    this.#panels = new PanelLoader(machine, async (key, build, args, tiles) => {
      this.#list.clear();
      this.#list.append(this.#compiled(key, build), args, tiles);
      await this.#compute(this.#list);
      this.#list.clear();
    });
    this.description = description;
    if (machine.runTimed) this.watch = (told) => this.#tell(told);
  }

  #tell(told: ((times: StepTimes) => void) | undefined): void {
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
    return this.#heap.bytes;
  }

  allocate(spec: Spec): Value {
    const value = new Value(this, spec.dtype, spec.shape);
    this.#living.set(value, this.#heap.allocate(bytesOf(spec)));
    return value;
  }

  async load(source: WeightSource, dtype: WeightDType | "uint8", layout?: "panels"): Promise<Value> {
    if (layout !== undefined && dtype !== "uint8" && sizeOf(source.shape) > 0)
      return this.#loadPanels(source, dtype);
    const mapped = source.dtype === dtype ? this.#map(source) : undefined;
    if (mapped) return mapped;
    const direct = source.dtype === dtype && this.#machine.steady && source.readInto !== undefined;
    const bytes = direct ? undefined : await source.read();
    const value = this.allocate({ dtype, shape: source.shape });
    const block = this.#block(value);
    try {
      if (!bytes) await readInto(source, block);
      else
        block.region.write(
          block.offset,
          source.dtype === dtype ? bytes : converted(source.dtype, bytes, dtype),
        );
    } catch (error) {
      this.release(value);
      throw error;
    }
    return value;
  }

  /** A few rows at a time: a weight that need not be converted is never whole in memory twice. */
  async #loadPanels(source: WeightSource, dtype: WeightDType): Promise<Value> {
    const same = source.dtype === dtype;
    const [N, K] = matrixOf(source.shape);
    const whole = same && panelColumns(dtype, K) === K;
    const direct = whole && this.#machine.steady && source.readInto !== undefined;
    const read = direct ? undefined : await source.read();
    const bytes = read && (same ? read : converted(source.dtype, read, dtype));
    return this.afterSteps(async () => {
      this.checkUsable();
      const { target } = this.#machine;
      const size = Math.ceil(N / panelRows(target)) * panelBytes(target, dtype, K);
      const value = new Value(this, dtype, source.shape, "panels");
      this.#living.set(value, this.#heap.allocate(size));
      try {
        await this.#panels.load({ bytes, source, dtype, N, K }, this.#block(value));
      } catch (error) {
        this.release(value);
        throw error;
      }
      return value;
    });
  }

  /** A tensor that stays in its file, which the system reads into memory as it is used. */
  #map({ dtype, shape, place }: WeightSource): Value | undefined {
    const machine = this.#machine;
    if (!place || !machine.map) return undefined;
    const region = machine.map(place.path, place.offset, bytesOf({ dtype, shape }));
    const value = new Value(this, dtype, shape);
    this.#living.set(value, this.#heap.adopt(region));
    return value;
  }

  protected override release(value: Value): void {
    const block = this.#living.get(value);
    if (!block) return;
    this.#living.delete(value);
    this.#heap.free(block);
  }

  protected override async close(): Promise<void> {
    await this.#machine.stop();
    this.#living.clear();
    this.#heap.dispose();
    this.#list.free();
    this.#panels.free();
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
      const ready = recording.commands.map((command) => this.#ready(command));
      const places = this.#place(recording, ready, outputs);
      for (const [value, data] of recording.uploads) {
        const place = places.values.get(value);
        if (place) place.region.write(place.offset, bytesIn(data));
      }
      await this.#run(ready, places, signal);
      const computed = performance.now();
      const results = outputs.map((value) => this.#read(value, places));
      for (const value of recording.kept) this.#keepNumbers(value, places);
      if (watch) this.#told?.(watch.end(computed));
      return results;
    } finally {
      this.#watch = undefined;
      for (const value of recording.freed) this.release(value);
    }
  }

  /** Gives every Value of the step a place in memory; places are used again after a Value's last use. */
  #place(recording: Recording, ready: readonly Ready[], outputs: readonly Value[]): Places {
    const { commands, uploads, kept } = recording;
    const last = lastUses(commands, [...outputs, ...kept], (value) => this.origin(value));
    const placement = new Placement();
    const offsets = new Map<Value, number>();
    const work = new Map<Command, number>();
    for (const value of uploads.keys()) offsets.set(value, placement.take(bytesOf(value)));
    for (const [i, { command, form }] of ready.entries()) {
      if (!command.inPlace) offsets.set(command.output, placement.take(bytesOf(command.output)));
      if (form?.first) {
        const offset = placement.take(form.first.bytes);
        work.set(command, offset);
        placement.give(offset, form.first.bytes);
      }
      for (const value of last.get(i) ?? []) {
        const offset = offsets.get(value);
        if (offset !== undefined) placement.give(offset, bytesOf(value));
      }
    }
    const region = this.#passingOf(placement.size);
    const places = <K>(map: Map<K, number>): Map<K, Place> =>
      new Map([...map].map(([key, offset]) => [key, { region, offset }]));
    return { values: places(offsets), work: places(work) };
  }

  #passingOf(bytes: number): Region {
    if (this.#passing && this.#passing.bytes >= bytes) return this.#passing;
    this.#passing?.free();
    this.#passing = this.#machine.allocate(bytes);
    return this.#passing;
  }

  /** Runs commands in order: as long as there are programs for them, many at once. */
  async #run(commands: readonly Ready[], places: Places, signal?: AbortSignal): Promise<void> {
    const list = this.#list;
    const runList = async (): Promise<void> => {
      if (list.length > 0) await this.#compute(list, signal);
      list.clear();
      this.#owners.length = 0;
    };
    list.clear();
    this.#owners.length = 0;
    let turn = performance.now();
    for (const { command, form } of commands) {
      if (form) {
        this.#append(list, command, form, places);
        continue;
      }
      await runList();
      const begin = performance.now();
      this.#runReference(command, places);
      this.#watch?.reference(command, begin);
      if (performance.now() - turn < TURN) continue;
      await nextTurn();
      signal?.throwIfAborted();
      turn = performance.now();
    }
    await runList();
  }

  /** Runs a list on all threads; an abort makes them leave within a tile of work. */
  async #compute(list: CommandList, signal?: AbortSignal): Promise<void> {
    const abort = (): void => this.#machine.abort();
    signal?.addEventListener("abort", abort);
    try {
      await this.#runCommands(list.write(), list.length);
    } finally {
      signal?.removeEventListener("abort", abort);
    }
    signal?.throwIfAborted();
  }

  async #runCommands(address: number, count: number): Promise<void> {
    const [watch, machine] = [this.#watch, this.#machine];
    if (!watch || !machine.runTimed || this.#owners.length !== count) return machine.run(address, count);
    const begin = performance.now();
    watch.list(this.#owners, await machine.runTimed(address, count), begin);
  }

  #ready(command: Command): Ready {
    const { kernel, inputs, params } = command;
    return { command, form: kernel.vector?.(inputs as never, params, this.#machine.target) };
  }

  #append(list: CommandList, command: Command, form: VectorForm, places: Places): void {
    const work = places.work.get(command);
    const memory = work && work.region.address + work.offset;
    if (form.first) this.#appendProgram(list, command, form.first, places, memory);
    this.#appendProgram(list, command, form, places, memory);
  }

  #appendProgram(
    list: CommandList,
    command: Command,
    form: VectorProgram,
    places: Places,
    work: number | undefined,
  ): void {
    const { kernel, inputs, output } = command;
    const args = new Map<string, number>();
    for (const [name, value] of Object.entries(inputs))
      if (value) args.set(name, this.#address(value, places));
    args.set("y", this.#address(output, places));
    if (work !== undefined) args.set("work", work);
    for (const [name, number] of Object.entries(form.numbers ?? {})) args.set(name, number);
    const slots = [...args.keys()];
    const address = this.#compiled(`${kernel.name}|${slots}|${form.key}`, () =>
      program(kernel.name, this.#machine.target, slots, (b, named) => form.build(b, named)),
    );
    list.append(address, [...args.values()], form.tiles);
    this.#owners.push(command);
  }

  #compiled(key: string, build: () => ReturnType<typeof program>): number {
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

  #rows({ dtype, shape }: Value, region: Region, offset: number): Tensor {
    const { target } = this.#machine;
    const [N, K] = matrixOf(shape);
    const size = Math.ceil(N / panelRows(target)) * panelBytes(target, dtype, K);
    const bytes = region.array(Uint8Array, offset, size);
    return new Tensor(dtype, shape, rowsOfPanels(target, dtype, N, K, viewBytes(dtype, bytes)));
  }

  #read(value: Value, places: Places): Tensor {
    const { dtype, shape, data } = this.#window(value, places);
    return new Tensor(dtype, shape, data.slice());
  }

  #keepNumbers(value: Value, places: Places): void {
    if (this.#living.has(value)) return;
    // First, as a window is right only until memory is allocated.
    const block = this.#heap.allocate(bytesOf(value));
    block.region.write(block.offset, bytesIn(this.#window(value, places).data));
    this.#living.set(value, block);
  }

  #address(value: Value, places: Places): number {
    const { region, offset } = this.#find(value, places);
    return region.address + offset;
  }

  #find(value: Value, places: Places): Place {
    const origin = this.origin(value);
    const place = places.values.get(origin) ?? this.#living.get(origin);
    if (!place) throw new ShapeError(`a value of shape [${value.shape}] is used after its end`);
    return place;
  }

  #block(value: Value): Block {
    const block = this.#living.get(value);
    if (!block) throw new ShapeError(`a value of shape [${value.shape}] is used after its end`);
    return block;
  }
}

/** Rows and columns of a weight that is multiplied with. */
function matrixOf([N, ...rest]: readonly number[]): [N: number, K: number] {
  return [N, sizeOf(rest)];
}

function bytesOf({ dtype, shape }: Spec): number {
  return sizeOf(shape) * BYTES[dtype];
}

/** Reads a tensor's bytes to where they are to lie. */
async function readInto(source: WeightSource, { region, offset, bytes }: Block): Promise<void> {
  for (let at = 0; at < bytes; ) {
    const length = Math.min(bytes - at, PIECE - ((offset + at) % PIECE));
    await source.readInto?.(at, region.array(Uint8Array, offset + at, length));
    at += length;
  }
}

function bytesIn(data: TypedArray): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** A checkpoint's numbers in another type. */
function converted(from: DType, bytes: Uint8Array, to: WeightDType | "uint8"): Uint8Array {
  return bytesIn(fromFloat32(to, toFloat32(from, viewBytes(from, bytes))));
}
