import { expect, test } from "vitest";
import { COMMAND } from "../../src/codegen/step.ts";
import { avx2 } from "../../src/codegen/target.ts";
import { CommandList } from "../../src/devices/vector/command_list.ts";
import type { Machine, Region } from "../../src/devices/vector/machine.ts";

const CHAIN = 900;
const ADDRESS = 4096;

/** A list in memory that lies at `ADDRESS`, and what of it can be read. */
function listWith(entries: Parameters<CommandList["append"]>[0][]) {
  const memory = new ArrayBuffer(65536);
  const region = {
    address: ADDRESS,
    bytes: memory.byteLength,
    array: (type: Uint8ArrayConstructor, offset: number, length: number) => new type(memory, offset, length),
  } as unknown as Region;
  const list = new CommandList({ target: avx2(), allocate: () => region } as unknown as Machine);
  for (const [i, entry] of entries.entries()) list.append(entry, i);
  const view = new DataView(memory);
  const pointer = (at: number): number => Number(view.getBigUint64(at, true));
  const command = (i: number) => ({
    program: pointer(i * COMMAND.bytes + COMMAND.program),
    block: pointer(i * COMMAND.bytes + COMMAND.arguments) - ADDRESS,
    tiles: view.getUint32(i * COMMAND.bytes + COMMAND.tiles, true),
    ends: view.getUint32(i * COMMAND.bytes + COMMAND.ends, true),
  });
  const numbers = (at: number, count: number): number[] =>
    Array.from({ length: count }, (_, i) => Number(view.getBigInt64(at + 8 * i, true)));
  return { list, command, numbers };
}

const entry = (program: number, more: { beside?: boolean; small?: boolean } = {}) => ({
  program,
  args: [program, 2 * program],
  tiles: program % 7,
  ...more,
});

test("groups of small commands that follow each other are one command", () => {
  const small = true;
  const entries = [
    entry(10, { small }),
    entry(11),
    entry(12, { small }),
    entry(13, { small }),
    entry(14, { small, beside: true }),
    entry(15, { small }),
    entry(16, { beside: true }),
    entry(17, { small }),
  ];
  const { list, command, numbers } = listWith(entries);
  const { count, owners } = list.write(CHAIN);
  expect(count).toBe(6);
  expect(owners).toEqual([0, 1, 2, 5, 6, 7]);
  expect(Array.from({ length: 6 }, (_, i) => command(i).program)).toEqual([10, 11, CHAIN, 15, 16, 17]);
  expect(Array.from({ length: 6 }, (_, i) => command(i).ends)).toEqual([1, 1, 1, 0, 1, 1]);
  expect(command(1).tiles).toBe(4);
  expect(command(2).tiles).toBe(1);
  const [links, ...rest] = numbers(command(2).block, 10);
  expect(links).toBe(3);
  for (const [i, program] of [12, 13, 14].entries()) {
    const [linked, block, tiles] = rest.slice(3 * i, 3 * i + 3);
    expect([linked, tiles]).toEqual([program, program % 7]);
    expect(numbers(block - ADDRESS, 2)).toEqual(entry(program).args);
  }
  expect(numbers(command(5).block, 2)).toEqual(entry(17).args);
});

test("without the program of chains, each stands by itself", () => {
  const { list, command } = listWith([entry(10, { small: true }), entry(11, { small: true })]);
  expect(list.write().count).toBe(2);
  expect([command(0).program, command(1).program]).toEqual([10, 11]);
});
