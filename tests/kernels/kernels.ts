import { readdirSync } from "node:fs";
import type { AnyKernel } from "../../src/devices/recording_device.ts";

const FOLDER = new URL("../../src/kernels/", import.meta.url);

function isKernel(value: unknown): value is AnyKernel {
  return typeof value === "object" && value !== null && "reference" in value && "tolerance" in value;
}

/** Every kernel that a file of src/kernels or a folder in it exports, so that none can be forgotten. */
export async function allKernels(): Promise<AnyKernel[]> {
  const files = readdirSync(FOLDER, { encoding: "utf8", recursive: true }).filter((file) =>
    file.endsWith(".ts"),
  );
  const modules: object[] = await Promise.all(
    files.map((file) => import(/* @vite-ignore */ new URL(file, FOLDER).href)),
  );
  return modules.flatMap((module) => Object.values(module).filter(isKernel));
}
