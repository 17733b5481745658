import type { Device, Value } from "../devices/device.ts";
import { byteDots, multiplyAdds, rowMaxima } from "../kernels/probes.ts";
import { median, timed } from "./timing.ts";

/** What the device reaches at most, with kernels that do nothing else. */
export interface DeviceLimits {
  read_bytes_per_second: number;
  peak_ops_per_second: number;
  /** Of products of 4-bit codes and bytes: what packed weights are multiplied by. */
  peak_byte_ops_per_second: number;
}

/** Runs bare loops on a device. */
export async function deviceLimits(device: Device): Promise<DeviceLimits> {
  const [rows, width] = [1024, 32768];
  const large = await written(device, rows * width);
  const read = await median(5, () =>
    timed(() => device.step(() => [device.run(rowMaxima, { x: device.view(large, [rows, width]) }, {})])),
  );
  device.free(large);
  const [tiles, size, times] = [256, 192, 20_000];
  const small = device.allocate({ dtype: "float32", shape: [tiles, size] });
  const compute = await median(5, () =>
    timed(() => device.step(() => [device.run(multiplyAdds, { x: small }, { times })])),
  );
  device.free(small);
  const codes = device.allocate({ dtype: "int32", shape: [tiles, 2 * size] });
  const bytes = await median(5, () =>
    timed(() => device.step(() => [device.run(byteDots, { x: codes }, { times })])),
  );
  device.free(codes);
  return {
    read_bytes_per_second: (rows * width * 4 * 1000) / read,
    peak_ops_per_second: (2 * tiles * size * times * 1000) / compute,
    peak_byte_ops_per_second: (8 * tiles * 2 * size * times * 1000) / bytes,
  };
}

/** Memory that has been written to: pages that never were are one and the same, and stay in the nearest cache. */
async function written(device: Device, size: number): Promise<Value> {
  const zeros = device.allocate({ dtype: "float32", shape: [size / 1024, 1024] });
  let result = zeros;
  await device.step(() => {
    result = device.keep(device.run(multiplyAdds, { x: zeros }, { times: 1 }));
    return [];
  });
  device.free(zeros);
  return result;
}
