import { describeDevices } from "../kernels/devices.ts";
import { deviceContract } from "./contract.ts";

await describeDevices(deviceContract);
