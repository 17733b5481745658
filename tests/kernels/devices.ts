import { describe, type TestContext, test } from "vitest";
import type { Device } from "../../src/devices/device.ts";
import { openNativeDevice } from "../../src/devices/native/open_native_node.ts";
import { ReferenceDevice } from "../../src/devices/reference/reference_device.ts";

/** A device that the contract suites run on. */
export interface Candidate {
  readonly name: string;
  /** A new device, or why there is none on this machine. */
  open(): Promise<Device | { reason: string }>;
}

/** Every device, and every form of it that is to be tested for itself (instruction sets, say). */
const CANDIDATES: readonly Candidate[] = [
  { name: "reference", open: async () => new ReferenceDevice() },
  { name: "native avx2", open: () => openNativeDevice({ threads: 2, cpu: "avx2" }) },
  { name: "native avx512", open: () => openNativeDevice({ threads: 2, cpu: "avx512" }) },
];

/** Names of devices that must be there, as `REQUIRE_DEVICES=native,wasm` says. */
const required = new Set((process.env.REQUIRE_DEVICES ?? "").split(",").filter(Boolean));

/** `test` on a device that is there; on one that is not, a skip with the reason. */
export type DeviceTest = (name: string, body: () => Promise<void> | void) => void;

/**
 * Defines a suite once for each device. Where one is absent its tests are skipped, with the reason; where
 * REQUIRE_DEVICES has its name, they fail.
 *
 * @param suite is given what opens a new device, to be called inside tests only
 */
export async function describeDevices(
  suite: (test: DeviceTest, open: () => Promise<Device>) => void,
): Promise<void> {
  for (const { name, open } of CANDIDATES) {
    const found = await open();
    const reason = "reason" in found ? found.reason : undefined;
    if (!("reason" in found)) await found.dispose();
    if (reason !== undefined) console.warn(`${name} is not tested: ${reason}`);
    describe(name, () => {
      suite(
        (title, body) => test(title, reason === undefined ? body : absence(name, reason)),
        () => opened(name, open()),
      );
    });
  }
  test("REQUIRE_DEVICES names devices that are known", ({ expect }) => {
    expect(CANDIDATES.map(({ name }) => name)).toEqual(expect.arrayContaining([...required]));
  });
}

function absence(name: string, reason: string): (context: TestContext) => void {
  return (context) => {
    if (required.has(name)) throw new Error(`${name} is required here, but is absent: ${reason}`);
    context.skip(reason);
  };
}

async function opened(name: string, found: ReturnType<Candidate["open"]>): Promise<Device> {
  const device = await found;
  if ("reason" in device) throw new Error(`${name}: ${device.reason}`);
  return device;
}
