import { it } from "vitest";
import { type NativeEngine, openEngine } from "../../src/devices/native/engine.ts";
import { missing } from "../codegen/support/machines.ts";

/** The engine with everything that this machine has, for one file of tests. */
const opened = openEngine("");

/** Tests that need the engine: skipped with the reason, or failing, where there is none. */
export function withEngine(suite: (engine: NativeEngine) => void): void {
  if ("reason" in opened) missing("native engine", "native", opened.reason);
  else suite(opened);
}

/** A test that only makes sense where something holds. */
export const itIf = (holds: boolean, why: string) =>
  holds ? it : (name: string, _body: unknown) => it.skip(`${name}: ${why}`, () => {});
