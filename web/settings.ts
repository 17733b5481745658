import type { DeviceName, DTypeName } from "llava";

/** What the page's address asks for. The library says what it does not know. */
export interface Settings {
  model: string;
  device: DeviceName;
  dtype: DTypeName;
}

/** Reads `?model=...&device=...&dtype=...`; without them, what the command line takes. */
export function readSettings(search: string): Settings {
  const query = new URLSearchParams(search);
  return {
    model: query.get("model") || "llava-demo",
    device: (query.get("device") || "auto") as DeviceName,
    dtype: (query.get("dtype") || "auto") as DTypeName,
  };
}
