import { describe, type TestContext, test } from "vitest";
import type { Device } from "../../src/devices/device.ts";
import { openEngine } from "../../src/devices/native/engine.ts";
import { openNativeDevice } from "../../src/devices/native/open_native_node.ts";
import { ReferenceDevice } from "../../src/devices/reference/reference_device.ts";
import { openWasmDevice } from "../../src/devices/wasm/open_wasm.ts";

/** A device that the contract suites run on. */
interface Candidate {
  /** The device's kind; for one of several forms of it, also which one. */
  readonly name: string;
  /** A new device, or why there is none on this machine. */
  open(): Promise<Device | { reason: string }>;
}

/** Every device, and every form of it that is to be tested for itself (instruction sets, say). */
const CANDIDATES: readonly Candidate[] = [
  { name: "reference", open: async () => new ReferenceDevice() },
  { name: "native avx2", open: () => openNativeDevice({ threads: 2, cpu: "avx2" }) },
  { name: "native avx512", open: () => openNativeDevice({ threads: 2, cpu: "avx512" }) },
  { name: "native amx", open: openWithTiles },
  { name: "wasm", open: () => openWasmDevice({ threads: 2 }) },
  { name: "wasm inline", open: () => openWasmDevice({ inline: true }) },
];

/** A device that multiplies with AMX. */
async function openWithTiles(): Promise<Device | { reason: string }> {
  const engine = openEngine("amx");
  if ("reason" in engine) return engine;
  const { processor, target } = engine;
  engine.dispose();
  if (!target.amx) return { reason: `${processor.name} has no AMX, or may not use it` };
  return openNativeDevice({ threads: 2, cpu: "amx" });
}

/**
 * What must be there, as `REQUIRE_DEVICES=native,wasm` says. A kind of device is there if one of its forms is; a form can
 * be required by its whole name (`native avx512`).
 */
const required = new Set((process.env.REQUIRE_DEVICES ?? "").split(",").filter(Boolean));

/** `test` on a device that is there; on one that is not, a skip with the reason. */
export type DeviceTest = (name: string, body: () => Promise<void> | void) => void;

function kindOf(name: string): string {
  return name.split(" ")[0];
}

/** Why a device is absent; undefined where it is there. */
async function reasonOfAbsence({ open }: Candidate): Promise<string | undefined> {
  const found = await open();
  if ("reason" in found) return found.reason;
  await found.dispose();
}

/**
 * Defines a suite once for each device. Where one is absent its tests are skipped, with the reason; where
 * REQUIRE_DEVICES has its name, they fail.
 *
 * @param suite is given what opens a new device, to be called inside tests only
 */
export async function describeDevices(
  suite: (test: DeviceTest, open: () => Promise<Device>) => void,
): Promise<void> {
  const reasons = new Map<string, string | undefined>();
  for (const candidate of CANDIDATES) reasons.set(candidate.name, await reasonOfAbsence(candidate));
  const present = new Set(
    [...reasons].filter(([, reason]) => reason === undefined).map(([name]) => kindOf(name)),
  );
  for (const { name, open } of CANDIDATES) {
    const reason = reasons.get(name);
    if (reason !== undefined) console.warn(`${name} is not tested: ${reason}`);
    const needed = required.has(name) || (required.has(kindOf(name)) && !present.has(kindOf(name)));
    describe(name, () => {
      suite(
        (title, body) => test(title, reason === undefined ? body : absence(name, reason, needed)),
        () => opened(name, open()),
      );
    });
  }
  test("REQUIRE_DEVICES names devices that are known", ({ expect }) => {
    const known = CANDIDATES.flatMap(({ name }) => [name, kindOf(name)]);
    expect(known).toEqual(expect.arrayContaining([...required]));
  });
}

function absence(name: string, reason: string, needed: boolean): (context: TestContext) => void {
  return (context) => {
    if (needed) throw new Error(`${name} is required here, but is absent: ${reason}`);
    context.skip(reason);
  };
}

async function opened(name: string, found: ReturnType<Candidate["open"]>): Promise<Device> {
  const device = await found;
  if ("reason" in device) throw new Error(`${name}: ${device.reason}`);
  return device;
}
