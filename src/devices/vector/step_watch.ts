import { BYTES } from "../../tensor/dtype.ts";
import { sizeOf } from "../../tensor/tensor.ts";
import type { Value } from "../device.ts";
import type { Command, Recording } from "../recording_device.ts";
import type { CommandTimes, ListTimes, StepTimes } from "../step_times.ts";
import type { WrittenList } from "./command_list.ts";

/** Collects where the time of one step goes. */
export class StepWatch {
  readonly #recording: Recording;
  readonly #commands: CommandTimes[] = [];
  readonly #began = performance.now();
  #wake = 0;
  #back = 0;
  /** Time that lists and references took, by the clock. */
  #computed = 0;

  constructor(recording: Recording) {
    this.#recording = recording;
  }

  /**
   * A list of commands has been run. What was computed tile by tile behind the one before has one time with it.
   *
   * @param begin when it was handed over
   */
  list({ owners, behind }: WrittenList, { wake, back, worked, waited }: ListTimes, begin: number): void {
    const commands = owners.map((owner) => this.#recording.commands[owner]);
    this.#wake += wake;
    this.#back += back;
    this.#computed += performance.now() - begin;
    for (const [i, command] of commands.entries()) {
      // A kernel of two programs counts once.
      const whole = commands[i + 1] !== command;
      const times = timesOf(command, worked[i], waited[i], whole);
      const before = behind[i] ? this.#commands.pop() : undefined;
      this.#commands.push(before ? together(before, times) : times);
    }
  }

  /** A kernel has been computed by its reference, on the calling thread. */
  reference(command: Command, begin: number): void {
    const passed = performance.now() - begin;
    this.#computed += passed;
    this.#commands.push(timesOf(command, passed, 0, true));
  }

  /** @param computedAt when the last command was done */
  end(computedAt: number): StepTimes {
    const { begun, noted } = this.#recording;
    const end = performance.now();
    return {
      begin: begun,
      end,
      record: noted - begun,
      prepare: computedAt - this.#began - this.#computed,
      wake: this.#wake,
      back: this.#back,
      read: end - computedAt,
      commands: this.#commands,
    };
  }
}

function timesOf(command: Command, worked: number, waited: number, whole: boolean): CommandTimes {
  const { kernel, inputs, params, output } = command;
  const { use, bytes, operations = 0, numbers = "float32" } = kernel.cost?.(inputs as never, params) ?? {};
  return {
    kernel: use === undefined ? kernel.name : `${kernel.name} ${use}`,
    runs: whole ? 1 : 0,
    worked,
    waited,
    bytes: whole ? (bytes ?? bytesOf(command, output)) : 0,
    operations: whole ? operations : 0,
    numbers,
  };
}

/** Two kernels whose rows were computed one after the other. */
function together(a: CommandTimes, b: CommandTimes): CommandTimes {
  return {
    ...a,
    kernel: `${a.kernel} + ${b.kernel}`,
    worked: a.worked + b.worked,
    waited: a.waited + b.waited,
    bytes: a.bytes + b.bytes,
    operations: a.operations + b.operations,
  };
}

function bytesOf({ inputs }: Command, output: Value): number {
  const values = [...Object.values(inputs), output].filter((value) => value !== undefined);
  return values.reduce((sum, { dtype, shape }) => sum + sizeOf(shape) * BYTES[dtype], 0);
}
