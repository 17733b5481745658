import { type Instruction, TILE_DOTS } from "../instruction.ts";
import type { Memory } from "./assembler.ts";
import type { Context } from "./context.ts";
import { VEX } from "./opcodes.ts";

/** Lowers AMX. False where `instruction` is not of that kind. */
export function lowerTile(c: Context, instruction: Instruction): boolean {
  const { asm } = c;
  const { op, inputs, imm } = instruction;
  switch (op) {
    case "tileConfig":
      asm.vex(VEX.ldtilecfg, 128, { rm: c.memory(instruction) });
      return true;
    case "tileRelease":
      asm.tilerelease();
      return true;
    case "tileZero":
      asm.vex(VEX.tilezero, 128, { reg: c.v(c.out(instruction)) });
      return true;
    case "tileLoad":
      asm.vex(imm === 1 ? VEX.tileloaddt1 : VEX.tileloadd, 128, {
        reg: c.v(c.out(instruction)),
        rm: rows(c, instruction),
      });
      return true;
    case "tileStore":
      asm.vex(VEX.tilestored, 128, { reg: c.v(inputs[2]), rm: rows(c, instruction) });
      return true;
    case "tileDot": {
      const opcodes = {
        bf16: VEX.tdpbf16ps,
        ss: VEX.tdpbssd,
        su: VEX.tdpbsud,
        us: VEX.tdpbusd,
        uu: VEX.tdpbuud,
      };
      const out = c.out(instruction);
      if (c.v(out) !== c.v(inputs[2])) throw c.error("'tileDot' must add to a variable");
      asm.vex(opcodes[TILE_DOTS[imm]], 128, { reg: c.v(out), rm: c.v(inputs[0]), vvvv: c.v(inputs[1]) });
      return true;
    }
    default:
      return false;
  }
}

/** A tile's memory: rows that lie `inputs[1]` bytes apart. */
function rows(c: Context, { inputs, offset }: Instruction): Memory {
  return { base: c.g(inputs[0]), index: c.g(inputs[1]), offset };
}
