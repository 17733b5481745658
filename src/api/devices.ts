import { OptionError, UnsupportedError } from "../base/errors.ts";
import type { Device } from "../devices/device.ts";
import { openNativeDevice } from "../devices/native/open_native_node.ts";
import { ReferenceDevice } from "../devices/reference/reference_device.ts";
import { openWasmDevice } from "../devices/wasm/open_wasm.ts";

/** Names that `device` takes. */
export type DeviceName = "auto" | "cpu" | "wasm" | "webgpu" | "reference";

/** How a device is opened. */
export interface DeviceOptions {
  /** Compute threads, where the device has several. Default: one for each physical core. */
  threads?: number;
}

const NAMES: readonly string[] = ["auto", "cpu", "wasm", "webgpu", "reference"] satisfies DeviceName[];

/**
 * A device of its own for one model. "auto" and "cpu": machine code where it can be made,
 * else WebAssembly, and plain TypeScript where there is not even that.
 *
 * @throws UnsupportedError for one that this version does not have
 */
export async function createDevice(name: string, { threads }: DeviceOptions = {}): Promise<Device> {
  if (!NAMES.includes(name)) {
    throw new OptionError(`device: expected one of ${NAMES.join(", ")}, got ${JSON.stringify(name)}`, {
      where: "device",
      expected: NAMES,
      got: name,
    });
  }
  if (threads !== undefined && !(Number.isSafeInteger(threads) && threads >= 1 && threads <= 1024)) {
    throw new OptionError(`threads: expected a whole number from 1 to 1024, got ${threads}`, {
      where: "threads",
      got: threads,
    });
  }
  if (name === "webgpu") {
    throw new UnsupportedError(`device: "${name}" is not there yet in this version; take "auto"`, {
      where: "device",
      got: name,
    });
  }
  if (name === "reference") return new ReferenceDevice();
  if (name === "wasm") {
    const wasm = await openWasmDevice({ threads });
    if (!("reason" in wasm)) return wasm;
    throw new UnsupportedError(`device: "wasm" cannot be used here: ${wasm.reason}`, { where: "device" });
  }
  const native = await openNativeDevice({ threads });
  if (!("reason" in native)) return native;
  const why = `no machine code: ${native.reason}`;
  const wasm = await openWasmDevice({ threads, why });
  return "reason" in wasm ? new ReferenceDevice(`${why}; no WebAssembly: ${wasm.reason}`) : wasm;
}
