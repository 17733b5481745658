import { program } from "../../codegen/ir.ts";
import { LOG } from "../../codegen/step.ts";
import type { ListTimes } from "../step_times.ts";
import type { NativeEngine } from "./engine.ts";

/** Reads the clock that machine code has, on the calling thread: 32 bits, which begin anew every few seconds. */
export function openClock(engine: NativeEngine): () => number {
  const memory = engine.allocate(64);
  const run = engine.callable(program("clock", engine.target, [], (b) => b.scratch().writeInt(0, b.clock())));
  const word = memory.array(Uint32Array, 0, 1);
  return () => {
    run(0, 0, memory.address);
    return word[0];
  };
}

/** Bytes that one thread notes down of a list. */
export function logBytes(commands: number): number {
  return Math.ceil((LOG.first + commands * LOG.bytes) / 64) * 64;
}

/** The clock's counts when a list was handed over and when the caller went on, and the milliseconds between. */
export interface Span {
  readonly from: number;
  readonly to: number;
  readonly ms: number;
}

/**
 * What threads noted down, as means over all of them.
 *
 * @param logs what each thread wrote
 */
export function listTimes(logs: readonly Uint32Array[], commands: number, { from, to, ms }: Span): ListTimes {
  const passed = (begin: number, end: number): number => (end - begin) >>> 0;
  const times = { wake: 0, back: 0, worked: new Float64Array(commands), waited: new Float64Array(commands) };
  const unit = ms / passed(from, to) / logs.length;
  for (const log of logs) {
    let before = log[0];
    times.wake += unit * passed(from, before);
    for (let i = 0; i < commands; i++) {
      const at = (LOG.first + i * LOG.bytes) / 4;
      const [worked, finished] = [log[at + LOG.worked / 4], log[at + LOG.finished / 4]];
      times.worked[i] += unit * passed(before, worked);
      times.waited[i] += unit * passed(worked, finished);
      before = finished;
    }
    times.back += unit * passed(before, to);
  }
  return times;
}
