import type { Program } from "../../codegen/instruction.ts";
import { program } from "../../codegen/ir.ts";
import { type Target, wasm } from "../../codegen/target.ts";
import { wasmModule } from "../../codegen/wasm/module.ts";
import { byteDotPays } from "./probe.ts";

/** A target that this engine runs, or the reason why there is none. The reason fits behind "because". */
export function wasmTarget(): Target | { reason: string } {
  if (typeof WebAssembly !== "object") return { reason: "there is no WebAssembly here" };
  const relaxed = wasm({ relaxed: true });
  if (runs(multiplyAdd(relaxed))) return wasm({ relaxed: true, sums16: !byteDotPays(relaxed) });
  const fixed = wasm();
  return runs(multiplyAdd(fixed)) ? fixed : { reason: "this engine's WebAssembly has no SIMD" };
}

/** A program with an instruction that only some engines know. */
function multiplyAdd(target: Target): Program {
  return program("probe", target, [], (b) => {
    const p = b.scratch();
    p.store(0, b.fma(p.load(), p.load(), p.load()));
  });
}

function runs(probe: Program): boolean {
  const memory = { initial: 1, maximum: 1, shared: false };
  return WebAssembly.validate(wasmModule([probe], { memory, tableBase: 0 }) as BufferSource);
}
