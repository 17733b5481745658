import { OptionError, UnsupportedError } from "../base/errors.ts";
import type { Device } from "../devices/device.ts";
import { ReferenceDevice } from "../devices/reference/reference_device.ts";

/** Names that `device` takes. */
export type DeviceName = "auto" | "cpu" | "wasm" | "webgpu" | "reference";

const NAMES: readonly string[] = ["auto", "cpu", "wasm", "webgpu", "reference"] satisfies DeviceName[];

/**
 * A device of its own for one model.
 *
 * @throws UnsupportedError for one that this version does not have
 */
export async function createDevice(name: string): Promise<Device> {
  if (!NAMES.includes(name)) {
    throw new OptionError(`device: expected one of ${NAMES.join(", ")}, got ${JSON.stringify(name)}`, {
      where: "device",
      expected: NAMES,
      got: name,
    });
  }
  if (name === "wasm" || name === "webgpu") {
    throw new UnsupportedError(`device: "${name}" is not there yet in this version; take "auto"`, {
      where: "device",
      got: name,
    });
  }
  return new ReferenceDevice();
}
