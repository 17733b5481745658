import type { Program } from "./instruction.ts";
import { program } from "./ir.ts";
import type { Target } from "./target.ts";

/*
 * A chain is one command that does the work of several, one after the other: to wait for other threads between commands
 * that take a microsecond each takes longer than to do them all. Its argument block is the number of links, and the links.
 */

/** A command as a chain has it. */
export interface Link {
  /** Address of the program; in WebAssembly its number in the table. */
  readonly program: number;
  /** Address of its argument block. */
  readonly block: number;
  readonly tiles: number;
}

/** A link's fields, by their offsets in bytes. */
const LINK = { program: 0, arguments: 8, tiles: 16, bytes: 24 } as const;

/** Numbers that the argument block of a chain has. */
export function chainLength(links: number): number {
  return 1 + 3 * links;
}

/** Its numbers, 8 bytes each. */
export function chainArguments(links: readonly Link[]): number[] {
  return [links.length, ...links.flatMap(({ program, block, tiles }) => [program, block, tiles])];
}

/** Calls the programs of all links for all of their tiles. */
export function chainProgram(target: Target): Program {
  return program("chain", target, [], (b) => {
    const link = b.cursor(b.argumentBlock);
    const left = b.variable(link.readInt(0));
    link.advance(8);
    b.forever((leave) => {
      leave(left, "==", 0);
      const [code, block] = [link.readPointer(LINK.program), link.readPointer(LINK.arguments)];
      const tiles = link.readInt(LINK.tiles);
      const tile = b.variable(0);
      b.forever((leaveLink) => {
        leaveLink(tile, ">=", tiles);
        b.emit(
          "call",
          [code, block, tile, b.scratch().pointer].map((n) => n.register),
        );
        tile.add(1);
      });
      link.advance(LINK.bytes);
      left.add(-1);
    });
  });
}
