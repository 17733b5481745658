import type { FormatName, WeightFormat } from "./format.ts";
import { q4 } from "./q4.ts";
import { q8 } from "./q8.ts";

/** All formats, by name. */
export const FORMATS: Readonly<Record<FormatName, WeightFormat>> = { q8, q4 };
