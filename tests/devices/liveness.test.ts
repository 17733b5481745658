import { describe, expect, test } from "vitest";
import { type Device, Value } from "../../src/devices/device.ts";
import { lastUses, neededCommands, type Recorded } from "../../src/devices/liveness.ts";
import { seeded } from "../random.ts";

/** Values and commands on no device, and views of them. */
class Notes {
  readonly #origins = new Map<Value, Value>();
  readonly origin = (value: Value): Value => this.#origins.get(value) ?? value;

  value(): Value {
    return new Value({} as Device, "float32", [1]);
  }

  view(value: Value): Value {
    const view = this.value();
    this.#origins.set(view, this.origin(value));
    return view;
  }

  /** A kernel that reads `inputs` and gives a new Value. */
  command(...inputs: Value[]): Recorded {
    return {
      inputs: { ...Object.fromEntries(inputs.entries()), missing: undefined },
      output: this.value(),
      inPlace: false,
    };
  }

  /** A kernel that reads `inputs` and writes over `target`. */
  write(target: Value, ...inputs: Value[]): Recorded {
    return { inputs: { ...Object.fromEntries(inputs.entries()), target }, output: target, inPlace: true };
  }
}

describe("neededCommands", () => {
  test("leaves out what leads to no result, and all that leads there only", () => {
    const notes = new Notes();
    const x = notes.value();
    const a = notes.command(x);
    const b = notes.command(a.output, x);
    const dead = notes.command(a.output);
    const deader = notes.command(dead.output, b.output);
    const c = notes.command(b.output);
    expect(neededCommands([a, b, dead, deader, c], [c.output], notes.origin)).toEqual([a, b, c]);
    expect(neededCommands([a, b, dead, deader, c], [dead.output], notes.origin)).toEqual([a, dead]);
    expect(neededCommands([a, b, dead, deader, c], [x], notes.origin)).toEqual([]);
    expect(neededCommands([], [x], notes.origin)).toEqual([]);
  });

  test("what is written in place counts as needed, with all that leads there", () => {
    const notes = new Notes();
    const [pool, x] = [notes.value(), notes.value()];
    const a = notes.command(x);
    const write = notes.write(pool, a.output);
    const dead = notes.command(pool, x);
    expect(neededCommands([a, write, dead], [], notes.origin)).toEqual([a, write]);
  });

  test("what is written over an output needs what was there before", () => {
    const notes = new Notes();
    const x = notes.value();
    const a = notes.command(x);
    const write = notes.write(a.output, x);
    expect(neededCommands([a, write], [], notes.origin)).toEqual([a, write]);
    expect(neededCommands([a, write], [a.output], notes.origin)).toEqual([a, write]);
  });

  test("sees through views", () => {
    const notes = new Notes();
    const x = notes.value();
    const a = notes.command(notes.view(x));
    const b = notes.command(notes.view(notes.view(a.output)));
    const dead = notes.command(notes.view(b.output));
    expect(neededCommands([a, b, dead], [notes.view(b.output)], notes.origin)).toEqual([a, b]);
  });
});

describe("lastUses", () => {
  test("names each value once, where it is used for the last time", () => {
    const notes = new Notes();
    const [x, y] = [notes.value(), notes.value()];
    const a = notes.command(x, x);
    const b = notes.command(a.output, y);
    const c = notes.command(b.output, a.output);
    const last = lastUses([a, b, c], [c.output], notes.origin);
    expect(last.get(0)).toEqual([x]);
    expect(last.get(1)).toEqual([y]);
    expect(new Set(last.get(2))).toEqual(new Set([a.output, b.output]));
  });

  test("results never end, not by their views either", () => {
    const notes = new Notes();
    const x = notes.value();
    const a = notes.command(x);
    const b = notes.command(notes.view(a.output));
    expect([...lastUses([a, b], [notes.view(a.output), b.output], notes.origin)]).toEqual([[0, [x]]]);
  });

  test("an output that nothing reads ends at once", () => {
    const notes = new Notes();
    const x = notes.value();
    const a = notes.command(x);
    const b = notes.command(x);
    expect([...lastUses([a, b], [b.output], notes.origin)]).toEqual([
      [1, [x]],
      [0, [a.output]],
    ]);
  });
});

test("any step finds what it reads, and leaves only its results", () => {
  const random = seeded("steps");
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)];
  for (let round = 0; round < 200; round++) {
    const notes = new Notes();
    const uploads = [notes.value(), notes.value(), notes.value()];
    const values = [...uploads];
    const commands: Recorded[] = [];
    for (let i = 0; i < 15; i++) {
      if (random() < 0.3) values.push(notes.view(pick(values)));
      const inputs = [pick(values), pick(values)];
      const command = random() < 0.2 ? notes.write(pick(values), ...inputs) : notes.command(...inputs);
      commands.push(command);
      values.push(command.output);
    }
    const results = [pick(values), pick(values)];
    const needed = neededCommands(commands, results, notes.origin);
    const last = lastUses(needed, results, notes.origin);
    const there = new Set(uploads);
    for (const [i, command] of needed.entries()) {
      for (const value of Object.values(command.inputs))
        if (value) expect(there.has(notes.origin(value))).toBe(true);
      there.add(notes.origin(command.output));
      for (const value of last.get(i) ?? []) expect(there.delete(value)).toBe(true);
    }
    const origins = new Set(results.map(notes.origin));
    for (const value of origins) expect(there.has(value)).toBe(true);
    const left = [...there].filter((value) => !origins.has(value));
    // Uploads that no needed command reads are never used, so they have no last use.
    for (const value of left) expect(uploads).toContain(value);
  }
});
