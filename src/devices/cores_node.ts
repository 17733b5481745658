import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";

/** Threads that do not share a core. Where the system does not tell, every thread counts as one. */
export function physicalCores(): number {
  const threads = availableParallelism();
  try {
    const active = readFileSync("/sys/devices/system/cpu/smt/active", "utf8").trim() === "1";
    return active ? Math.max(1, Math.floor(threads / 2)) : threads;
  } catch {
    return threads;
  }
}
