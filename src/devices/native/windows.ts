import { statSync } from "node:fs";
import type { KoffiModule } from "./koffi.ts";
import type { System } from "./system.ts";
import { notExecutable, outOfMemory } from "./system_errors.ts";

const MEM_COMMIT_RESERVE = 0x3000;
const MEM_RELEASE = 0x8000;
const PAGE = { readOnly: 2, readWrite: 4, executeRead: 0x20 };
const GENERIC_READ = 0x8000_0000;
const FILE_SHARE_READ = 1;
const OPEN_EXISTING = 3;
const FILE_MAP_READ = 4;
const INVALID_HANDLE = 2 ** 63;

/** The same for Windows, from its documentation; run under Wine 8 so far. */
export function windows(koffi: KoffiModule): System {
  const kernel = koffi.load("kernel32.dll");
  const virtualAlloc = kernel.func("VirtualAlloc", "uintptr_t", [
    "uintptr_t",
    "size_t",
    "uint32_t",
    "uint32_t",
  ]);
  const virtualFree = kernel.func("VirtualFree", "int", ["uintptr_t", "size_t", "uint32_t"]);
  const virtualProtect = kernel.func("VirtualProtect", "int", ["uintptr_t", "size_t", "uint32_t", "void *"]);
  const currentProcess = kernel.func("GetCurrentProcess", "uintptr_t", []);
  const flushCode = kernel.func("FlushInstructionCache", "int", ["uintptr_t", "uintptr_t", "size_t"]);
  const createFile = kernel.func("CreateFileW", "uintptr_t", [
    "str16",
    "uint32_t",
    "uint32_t",
    "uintptr_t",
    "uint32_t",
    "uint32_t",
    "uintptr_t",
  ]);
  const createMapping = kernel.func("CreateFileMappingW", "uintptr_t", [
    "uintptr_t",
    "uintptr_t",
    "uint32_t",
    "uint32_t",
    "uint32_t",
    "uintptr_t",
  ]);
  const mapView = kernel.func("MapViewOfFile", "uintptr_t", [
    "uintptr_t",
    "uint32_t",
    "uint32_t",
    "uint32_t",
    "size_t",
  ]);
  const unmapView = kernel.func("UnmapViewOfFile", "int", ["uintptr_t"]);
  const closeHandle = kernel.func("CloseHandle", "int", ["uintptr_t"]);

  /** The address of a whole file, or 0. The view outlives the handles. */
  const view = (path: string): number => {
    const file = Number(createFile(path, GENERIC_READ, FILE_SHARE_READ, 0, OPEN_EXISTING, 0, 0));
    if (file >= INVALID_HANDLE) return 0;
    const mapping = Number(createMapping(file, 0, PAGE.readOnly, 0, 0, 0));
    closeHandle(file);
    if (mapping === 0) return 0;
    const address = Number(mapView(mapping, FILE_MAP_READ, 0, 0, 0));
    closeHandle(mapping);
    return address;
  };

  const allocate = (bytes: number): number => {
    const address = Number(virtualAlloc(0, bytes, MEM_COMMIT_RESERVE, PAGE.readWrite));
    if (address === 0) throw outOfMemory(bytes);
    return address;
  };
  return {
    koffi,
    abi: "win64",
    pageBytes: 4096,
    allocate,
    // Large pages need a privilege that users do not have.
    allocateLarge: allocate,
    release: (address) => virtualFree(address, 0, MEM_RELEASE),
    makeExecutable(address, bytes) {
      if (virtualProtect(address, bytes, PAGE.executeRead, Buffer.alloc(4)) === 0) throw notExecutable();
      flushCode(currentProcess(), address, bytes);
    },
    mapFile(path) {
      const { size } = statSync(path);
      const address = size === 0 ? 0 : view(path);
      if (address === 0 && size > 0) throw outOfMemory(size);
      return { address, bytes: size, close: () => void (size > 0 && unmapView(address)) };
    },
    yieldFunction: Number(kernel.symbol("SwitchToThread")),
  };
}
