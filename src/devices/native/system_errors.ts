import { UnsupportedError } from "../../base/errors.ts";

/** The error for memory that cannot be had. */
export function outOfMemory(bytes: number): UnsupportedError {
  const size = bytes >= 2 ** 30 ? `${(bytes / 2 ** 30).toFixed(1)} GiB` : `${Math.ceil(bytes / 2 ** 20)} MiB`;
  return new UnsupportedError(`the system gives no ${size} of memory`, { where: "memory", expected: bytes });
}

/** The error for a system that does not let code be made at run time. */
export function notExecutable(): UnsupportedError {
  return new UnsupportedError("the system does not let memory be made executable", { where: "memory" });
}
