import type { Program } from "../instruction.ts";
import { Bytes } from "./bytes.ts";
import { lowerWasm } from "./lower.ts";
import { TYPE } from "./opcodes.ts";

/** Bytes of a page of WebAssembly's memory. */
export const PAGE_BYTES = 65536;

/** What a module is linked to: `new WebAssembly.Instance(module, { env: { memory, table } })`. */
export interface ModuleLinks {
  /** Pages of the memory, as it is declared. */
  readonly memory: { readonly initial: number; readonly maximum: number; readonly shared: boolean };
  /** Place of the first program in the table of functions, which must have room for all. */
  readonly tableBase: number;
}

const SECTION = { type: 1, import: 2, function: 3, export: 7, element: 9, code: 10 };
const [FUNCTION_TYPE, FUNCREF] = [0x60, 0x70];
const KIND = { function: 0, table: 1, memory: 2 };

/** The name under which a module exports its `i`-th program, a function of three integers. */
export function exportName(i: number): string {
  return `p${i}`;
}

/** A WebAssembly module with these programs. Each is exported, and put into the table for calls from others. */
export function wasmModule(programs: readonly Program[], links: ModuleLinks): Uint8Array {
  return moduleOf(programs.map(lowerWasm), links);
}

/**
 * The same of programs that are lowered.
 *
 * @param bodies what `lowerWasm` makes of each
 */
export function moduleOf(bodies: readonly Uint8Array[], { memory, tableBase }: ModuleLinks): Uint8Array {
  const module = new Bytes().int32(0x6d736100).int32(1);
  const section = (id: number, content: Bytes): void => {
    module.byte(id).sized(content.view());
  };
  const list = (): Bytes => new Bytes().unsigned(bodies.length);

  const parameters = new Bytes().unsigned(3).byte(TYPE.i32).byte(TYPE.i32).byte(TYPE.i32);
  section(SECTION.type, new Bytes().unsigned(1).byte(FUNCTION_TYPE).append(parameters.view()).unsigned(0));

  const imports = new Bytes().unsigned(2);
  imports.name("env").name("memory").byte(KIND.memory);
  imports
    .byte(memory.shared ? 3 : 1)
    .unsigned(memory.initial)
    .unsigned(memory.maximum);
  imports.name("env").name("table").byte(KIND.table);
  imports
    .byte(FUNCREF)
    .byte(0)
    .unsigned(tableBase + bodies.length);
  section(SECTION.import, imports);

  const functions = list();
  const exports = list();
  const elements = new Bytes().unsigned(1).unsigned(0).byte(0x41).signed(tableBase).byte(0x0b);
  elements.unsigned(bodies.length);
  const code = list();
  for (const [i, body] of bodies.entries()) {
    functions.unsigned(0);
    exports.name(exportName(i)).byte(KIND.function).unsigned(i);
    elements.unsigned(i);
    code.sized(body);
  }
  section(SECTION.function, functions);
  section(SECTION.export, exports);
  section(SECTION.element, elements);
  section(SECTION.code, code);
  return module.finish();
}
