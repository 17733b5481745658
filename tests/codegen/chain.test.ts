import { expect, test } from "vitest";
import { chainArguments, chainLength, chainProgram } from "../../src/codegen/chain.ts";
import { writeArguments } from "../../src/codegen/commands.ts";
import type { Program } from "../../src/codegen/instruction.ts";
import { program } from "../../src/codegen/ir.ts";
import { avx2 } from "../../src/codegen/target.ts";
import { interpret } from "./support/interpret.ts";

const AT = { block: 256, links: 512, notes: 1024, scratch: 2048 };

/** Notes down, one call after the other: its own amount times 10, and the tile. */
const note: Program = program("note", avx2(), ["notes", "amount"], (b, { notes, amount }) => {
  const scratch = b.scratch();
  const calls = scratch.readInt();
  b.cursor(notes, calls.times(4)).writeInt(0, amount.read().times(10).plus(b.tile));
  scratch.writeInt(0, calls.plus(1));
});

test("a chain does all tiles of its links, one after the other", () => {
  const memory = new ArrayBuffer(4096);
  const links = [3, 0, 1, 2].map((tiles, i) => {
    writeArguments(new DataView(memory, AT.links + 64 * i), [AT.notes, i + 1]);
    return { program: 70 + i, block: AT.links + 64 * i, tiles };
  });
  const block = chainArguments(links);
  expect(block).toHaveLength(chainLength(links.length));
  writeArguments(new DataView(memory, AT.block), block);
  const called: number[] = [];
  interpret(chainProgram(avx2()), memory, [AT.block, 0, AT.scratch], (address) => {
    called.push(address);
    return note;
  });
  expect(called).toEqual([70, 70, 70, 72, 73, 73]);
  expect([...new Int32Array(memory, AT.notes, 7)]).toEqual([10, 11, 12, 30, 40, 41, 0]);
});
