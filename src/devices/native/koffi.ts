import { createRequire } from "node:module";
import type * as Koffi from "koffi";

/** The module that calls C functions. Its binaries come with it, for most systems. */
export type KoffiModule = typeof Koffi;

const require = createRequire(import.meta.url);
let loaded: KoffiModule | { reason: string } | undefined;

/** Loads koffi, once. It takes about 10 ms, so it waits until it is needed. */
export function loadKoffi(): KoffiModule | { reason: string } {
  if (!loaded) {
    try {
      loaded = require("koffi") as KoffiModule;
    } catch (error) {
      const why = error instanceof Error ? error.message.split("\n")[0] : String(error);
      loaded = { reason: `the package 'koffi', which maps executable memory, cannot be loaded here: ${why}` };
    }
  }
  return loaded;
}

/** Where koffi's code is, for threads that load it by themselves. */
export function koffiPath(): string {
  return require.resolve("koffi");
}
