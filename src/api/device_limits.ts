import type { Device } from "../devices/device.ts";
import { multiplyAdds, rowMaxima } from "../kernels/probes.ts";
import { median, timed } from "./timing.ts";

/** What the device reaches at most, with kernels that do nothing else. */
export interface DeviceLimits {
  read_bytes_per_second: number;
  peak_ops_per_second: number;
}

/** Runs bare loops on a device. */
export async function deviceLimits(device: Device): Promise<DeviceLimits> {
  const [rows, width] = [2048, 32768];
  const large = device.allocate({ dtype: "float32", shape: [rows, width] });
  const read = await median(5, () =>
    timed(() => device.step(() => [device.run(rowMaxima, { x: large }, {})])),
  );
  device.free(large);
  const [tiles, size, times] = [256, 192, 20_000];
  const small = device.allocate({ dtype: "float32", shape: [tiles, size] });
  const compute = await median(5, () =>
    timed(() => device.step(() => [device.run(multiplyAdds, { x: small }, { times })])),
  );
  device.free(small);
  return {
    read_bytes_per_second: (rows * width * 4 * 1000) / read,
    peak_ops_per_second: (2 * tiles * size * times * 1000) / compute,
  };
}
