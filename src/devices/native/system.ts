import { closeSync, fstatSync, openSync } from "node:fs";
import type { Abi } from "../../codegen/x64/entry.ts";
import type { KoffiModule } from "./koffi.ts";
import { LargePages } from "./large_pages.ts";
import { notExecutable, outOfMemory } from "./system_errors.ts";
import { windows } from "./windows.ts";

/** What is needed of an operating system. Addresses and sizes are whole numbers; sizes are in bytes. */
export interface System {
  readonly koffi: KoffiModule;
  readonly abi: Abi;
  /** Sizes of code are rounded up to this. */
  readonly pageBytes: number;
  /** Zeroed memory. @throws UnsupportedError where there is not so much */
  allocate(bytes: number): number;
  /** The same in large pages, where the system has them: they make reading weights faster. */
  allocateLarge(bytes: number): number;
  /** Gives back what `allocate` or `allocateLarge` gave. */
  release(address: number, bytes: number): void;
  /** Makes written memory executable, and no longer writable. @throws UnsupportedError where that is not allowed */
  makeExecutable(address: number, bytes: number): void;
  /** A file's bytes as memory that must not be written. */
  mapFile(path: string): FileMapping;
  /** Address of a C function without arguments that lets other threads run. */
  readonly yieldFunction: number;
}

/** A file seen as memory. It must not be made shorter meanwhile: reading what is gone ends the process. */
export interface FileMapping {
  readonly address: number;
  readonly bytes: number;
  close(): void;
}

/** The C functions of the system that this process runs on. */
export function openSystem(koffi: KoffiModule): System {
  return process.platform === "win32" ? windows(koffi) : posix(koffi);
}

const PROTECTION = { read: 1, readWrite: 3, readExecute: 5 };
const MAP_PRIVATE = 2;
/** Advice to use large pages. Linux only. */
const MADV_HUGEPAGE = 14;

function posix(koffi: KoffiModule): System {
  const libc = koffi.load(null);
  const mmap = libc.func("mmap", "uintptr_t", ["uintptr_t", "size_t", "int", "int", "int", "int64_t"]);
  const munmap = libc.func("munmap", "int", ["uintptr_t", "size_t"]);
  const mprotect = libc.func("mprotect", "int", ["uintptr_t", "size_t", "int"]);
  const madvise = libc.func("madvise", "int", ["uintptr_t", "size_t", "int"]);
  const linux = process.platform === "linux";
  const anonymous = MAP_PRIVATE | (linux ? 0x20 : 0x1000);
  const map = (bytes: number, protection: number, flags: number, file: number): number | undefined => {
    const address = Number(mmap(0, bytes, protection, flags, file, 0));
    // MAP_FAILED is -1.
    return address >= 2 ** 63 ? undefined : address;
  };
  const allocate = (bytes: number): number => {
    const address = map(bytes, PROTECTION.readWrite, anonymous, -1);
    if (address === undefined) throw outOfMemory(bytes);
    return address;
  };
  const unmap = (address: number, bytes: number): void => void (bytes > 0 && munmap(address, bytes));
  const largePages = new LargePages({
    map: allocate,
    unmap,
    advise: (address, bytes) => madvise(address, bytes, MADV_HUGEPAGE),
  });
  return {
    koffi,
    abi: "sysv",
    pageBytes: 4096,
    allocate,
    allocateLarge: (bytes) => (linux ? largePages.take(bytes) : allocate(bytes)),
    release: (address, bytes) => (linux ? largePages.give(address, bytes) : unmap(address, bytes)),
    makeExecutable(address, bytes) {
      if (mprotect(address, bytes, PROTECTION.readExecute) !== 0) throw notExecutable();
    },
    mapFile(path) {
      const file = openSync(path, "r");
      try {
        const bytes = fstatSync(file).size;
        const address = bytes === 0 ? 0 : map(bytes, PROTECTION.read, MAP_PRIVATE, file);
        if (address === undefined) throw outOfMemory(bytes);
        return { address, bytes, close: () => void (bytes > 0 && munmap(address, bytes)) };
      } finally {
        // The mapping stays.
        closeSync(file);
      }
    },
    yieldFunction: Number(libc.symbol("sched_yield")),
  };
}
