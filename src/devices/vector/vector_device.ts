import { ShapeError } from "../../base/errors.ts";
import { program } from "../../codegen/ir.ts";
import { BYTES, type DType, fromFloat32, type TypedArray, toFloat32, viewBytes } from "../../tensor/dtype.ts";
import { sizeOf, Tensor } from "../../tensor/tensor.ts";
import { type Spec, Value, type WeightDType, type WeightSource } from "../device.ts";
import type { HostArrays, KernelInputs, VectorForm } from "../kernel.ts";
import { lastUses } from "../liveness.ts";
import { type Command, type Recording, RecordingDevice } from "../recording_device.ts";
import { CommandList } from "./command_list.ts";
import { type Block, Heap } from "./heap.ts";
import type { Machine, Region } from "./machine.ts";
import { Placement } from "./placement.ts";

/** Bytes that are read at a time. Regions give no arrays across multiples of 4 GiB, so none across these. */
const PIECE = 2 ** 30;

/** Where a Value's numbers are while a step is computed. */
interface Place {
  region: Region;
  offset: number;
}

/** A command that is ready to run: a program, or the reference where there is none. */
type Ready = { kind: "program"; form: VectorForm; command: Command } | { kind: "host"; command: Command };

/**
 * Runs vector programs on a machine: native code or WebAssembly. Kernels that have no program are computed by their
 * reference, on windows of the machine's memory.
 */
export class VectorDevice extends RecordingDevice {
  readonly kind: string;
  readonly description: string;
  readonly #machine: Machine;
  readonly #heap: Heap;
  readonly #list: CommandList;
  readonly #living = new Map<Value, Block>();
  /** Compiled programs as commands name them, by kernel and what was built in. */
  readonly #programs = new Map<string, number>();
  /** What a step's own Values lie in. Grows to the largest step. */
  #passing: Region | undefined;

  constructor(kind: string, machine: Machine, description: string) {
    super();
    this.kind = kind;
    this.#machine = machine;
    this.#heap = new Heap(machine);
    this.#list = new CommandList(machine);
    this.description = description;
  }

  get capacity(): number | undefined {
    return this.#machine.capacity;
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

  async load(source: WeightSource, dtype: WeightDType | "uint8"): Promise<Value> {
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
      const places = this.#place(recording, outputs);
      for (const [value, data] of recording.uploads) {
        const place = places.get(value);
        if (place) place.region.write(place.offset, bytesIn(data));
      }
      await this.#run(recording.commands, places, signal);
      const results = outputs.map((value) => this.#read(value, places));
      for (const value of recording.kept) this.#keepNumbers(value, places);
      return results;
    } finally {
      for (const value of recording.freed) this.release(value);
    }
  }

  /** Gives every Value of the step a place in memory; places are used again after a Value's last use. */
  #place(recording: Recording, outputs: readonly Value[]): Map<Value, Place> {
    const { commands, uploads, kept } = recording;
    const last = lastUses(commands, [...outputs, ...kept], (value) => this.origin(value));
    const placement = new Placement();
    const offsets = new Map<Value, number>();
    for (const value of uploads.keys()) offsets.set(value, placement.take(bytesOf(value)));
    for (const [i, { output, inPlace }] of commands.entries()) {
      if (!inPlace) offsets.set(output, placement.take(bytesOf(output)));
      for (const value of last.get(i) ?? []) {
        const offset = offsets.get(value);
        if (offset !== undefined) placement.give(offset, bytesOf(value));
      }
    }
    const region = this.#passingOf(placement.size);
    return new Map([...offsets].map(([value, offset]) => [value, { region, offset }]));
  }

  #passingOf(bytes: number): Region {
    if (this.#passing && this.#passing.bytes >= bytes) return this.#passing;
    this.#passing?.free();
    this.#passing = this.#machine.allocate(bytes);
    return this.#passing;
  }

  /** Runs commands in order: as long as there are programs for them, many at once. */
  async #run(commands: readonly Command[], places: Map<Value, Place>, signal?: AbortSignal): Promise<void> {
    const list = this.#list;
    const runList = async (): Promise<void> => {
      if (list.length > 0) await this.#compute(list, signal);
      list.clear();
    };
    list.clear();
    for (const command of commands) {
      const ready = this.#ready(command);
      if (ready.kind === "program") {
        this.#append(list, ready, places);
        continue;
      }
      await runList();
      this.#runReference(command, places);
    }
    await runList();
  }

  /** Runs a list on all threads; an abort makes them leave within a tile of work. */
  async #compute(list: CommandList, signal?: AbortSignal): Promise<void> {
    const abort = (): void => this.#machine.abort();
    signal?.addEventListener("abort", abort);
    try {
      await this.#machine.run(list.write(), list.length);
    } finally {
      signal?.removeEventListener("abort", abort);
    }
    signal?.throwIfAborted();
  }

  #ready(command: Command): Ready {
    const { kernel, inputs, params } = command;
    const form = kernel.vector?.(inputs as never, params, this.#machine.target);
    return form ? { kind: "program", form, command } : { kind: "host", command };
  }

  #append(
    list: CommandList,
    { form, command }: Ready & { kind: "program" },
    places: Map<Value, Place>,
  ): void {
    const names = Object.keys(command.inputs).filter((name) => command.inputs[name] !== undefined);
    const numbers = Object.entries(form.numbers ?? {});
    const slots = [...names, "y", ...numbers.map(([name]) => name)];
    const addresses = [...names.map((name) => command.inputs[name] as Value), command.output].map((value) =>
      this.#address(value, places),
    );
    const address = this.#compiled(`${command.kernel.name}|${slots}|${form.key}`, () =>
      program(command.kernel.name, this.#machine.target, slots, (b, args) => form.build(b, args)),
    );
    list.append(address, [...addresses, ...numbers.map(([, number]) => number)], form.tiles);
  }

  #compiled(key: string, build: () => ReturnType<typeof program>): number {
    const known = this.#programs.get(key);
    if (known !== undefined) return known;
    const address = this.#machine.compile(build());
    this.#programs.set(key, address);
    return address;
  }

  #runReference({ kernel, inputs, params, output }: Command, places: Map<Value, Place>): void {
    const arrays: Record<string, Tensor> = { y: this.#window(output, places) };
    for (const [name, value] of Object.entries(inputs)) if (value) arrays[name] = this.#window(value, places);
    if (kernel.inPlace === undefined) arrays.y.data.fill(0 as never);
    kernel.reference(arrays as HostArrays<KernelInputs>, params);
  }

  /** A Value's numbers, not copied. */
  #window(value: Value, places: Map<Value, Place>): Tensor {
    const { region, offset } = this.#find(value, places);
    const bytes = region.array(Uint8Array, offset, bytesOf(value));
    return new Tensor(value.dtype, value.shape, viewBytes(value.dtype, bytes));
  }

  #read(value: Value, places: Map<Value, Place>): Tensor {
    const { dtype, shape, data } = this.#window(value, places);
    return new Tensor(dtype, shape, data.slice());
  }

  #keepNumbers(value: Value, places: Map<Value, Place>): void {
    if (this.#living.has(value)) return;
    // First, as a window is right only until memory is allocated.
    const block = this.#heap.allocate(bytesOf(value));
    block.region.write(block.offset, bytesIn(this.#window(value, places).data));
    this.#living.set(value, block);
  }

  #address(value: Value, places: Map<Value, Place>): number {
    const { region, offset } = this.#find(value, places);
    return region.address + offset;
  }

  #find(value: Value, places: Map<Value, Place>): Place {
    const origin = this.origin(value);
    const place = places.get(origin) ?? this.#living.get(origin);
    if (!place) throw new ShapeError(`a value of shape [${value.shape}] is used after its end`);
    return place;
  }

  #block(value: Value): Block {
    const block = this.#living.get(value);
    if (!block) throw new ShapeError(`a value of shape [${value.shape}] is used after its end`);
    return block;
  }
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
