import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { FileAccess } from "../../src/hub/file_access_node.ts";
import { readHeader } from "../../src/hub/safetensors.ts";
import { viewBytes } from "../../src/tensor/dtype.ts";
import { Tensor } from "../../src/tensor/tensor.ts";

/** CLIP and Llama in the published layouts. What does not depend on the architecture is tried on these alone. */
export const LAYOUTS: readonly string[] = ["hub-f32", "v452-bf16-shards", "v5-f16"];

/** The checkpoints of scripts/fixtures/models.py. */
export const CHECKPOINTS: readonly string[] = [
  ...LAYOUTS,
  "clip-mistral-f32",
  "siglip-qwen2-bf16",
  "siglip-mistral-f16",
  "pixtral-mistral-bf16",
  "clip-llama-dynamic-f16",
  "clip-llama-yarn-bf16",
  "clip-llama-longrope-f16",
  "siglip-gemma-f16",
];

/** Their rotary frequencies follow the longest row of a call, so that a row alone may be answered otherwise. */
const FOLLOW_LENGTH: readonly string[] = ["clip-llama-dynamic-f16", "clip-llama-longrope-f16"];

/** Whether each row of a batch is answered as it would be alone. */
export function rowsAreAlone(checkpoint: string): boolean {
  return !FOLLOW_LENGTH.includes(checkpoint);
}

export function folderOf(checkpoint: string): string {
  return fileURLToPath(new URL(`../fixtures/models/${checkpoint}`, import.meta.url));
}

/** All tensors of a file. */
export async function readTensors(path: string): Promise<Map<string, Tensor>> {
  const file = await FileAccess.open(path, "expected.safetensors");
  const { tensors } = await readHeader(file, "expected.safetensors");
  const read = new Map<string, Tensor>();
  for (const { name, dtype, shape, begin, end } of tensors.values()) {
    read.set(name, new Tensor(dtype, shape, viewBytes(dtype, await file.read(begin, end - begin))));
  }
  await file.close();
  return read;
}

/** The root of the summed squared differences over that of the squares, of rows that are no padding, as in bfloat16_errors.py. */
export function errorOf({ data: got }: Tensor, { data: exact }: Tensor, mask: number[][]): number {
  const rows = mask.flat();
  const width = exact.length / rows.length;
  let [differences, squares] = [0, 0];
  for (let i = 0; i < exact.length; i++) {
    if (rows[Math.floor(i / width)] === 0) continue;
    differences += (Number(got[i]) - Number(exact[i])) ** 2;
    squares += Number(exact[i]) ** 2;
  }
  return Math.sqrt(differences / squares);
}

/** What `expected.json` holds. */
export interface Facts {
  input_ids: number[][];
  attention_mask: number[][];
  labels: number[][];
  position_ids: number[][];
  cut: number;
  image_sizes?: number[][];
  runs: {
    greedy: number[][];
    eos: { eos_token_id: number[]; sequences: number[][] };
    early?: { eos_token_id: number; sequences: number[][] };
    penalised: { options: Record<string, number>; sequences: number[][] };
    single: number[][];
    sampled: Record<string, number | boolean>;
    continued: { input_ids: number[][]; sequences: number[][] };
    embeds: number[][];
    text: { input_ids: number[][]; sequences: number[][] };
  };
}

/** Pictures as a processor gives them. */
export interface Pictures {
  pixel_values: Tensor;
  image_sizes?: number[][];
}

/** What Transformers gave for a checkpoint. */
export class Expected {
  readonly facts: Facts;
  readonly #tensors: Map<string, Tensor>;

  private constructor(facts: Facts, tensors: Map<string, Tensor>) {
    this.facts = facts;
    this.#tensors = tensors;
  }

  static async read(checkpoint: string): Promise<Expected> {
    const folder = folderOf(checkpoint);
    const facts = JSON.parse(await readFile(`${folder}/expected.json`, "utf8")) as Facts;
    return new Expected(facts, await readTensors(`${folder}/expected.safetensors`));
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  tensor(name: string): Tensor {
    const tensor = this.#tensors.get(name);
    if (!tensor) throw new Error(`the fixture has no tensor ${name}`);
    return tensor;
  }

  /** The tensors `prefix.0`, `prefix.1`, ... */
  list(prefix: string): Tensor[] {
    const found: Tensor[] = [];
    while (this.has(`${prefix}.${found.length}`)) found.push(this.tensor(`${prefix}.${found.length}`));
    return found;
  }

  /** The pictures of both rows, or those from the given one. */
  pictures(first = 0): Pictures {
    const { shape, data } = this.tensor("pixel_values");
    const size = data.length / shape[0];
    const pixels = (data as Float32Array).slice(first * size);
    const image_sizes = this.facts.image_sizes?.slice(first);
    const pixel_values = new Tensor("float32", [shape[0] - first, ...shape.slice(1)], pixels);
    return image_sizes ? { pixel_values, image_sizes } : { pixel_values };
  }
}

/**
 * Share of the largest value by which float32 results may differ. Transformers' own in float32 are up to 2.1e-6 from its
 * own in float64 on these checkpoints (the logits of siglip-gemma-f16); ours may be three times as far from them on the
 * other side.
 */
export const TOLERANCE = 4 * 2.1e-6;

/**
 * Compares with a recorded tensor.
 *
 * @param mask [B, L]: where it is 0, nothing is compared (padding)
 */
export function expectClose(got: Tensor, expected: Tensor, mask?: readonly (readonly number[])[]): void {
  expect(got.shape).toEqual(expected.shape);
  const rows = mask?.flat();
  const width = rows ? expected.data.length / rows.length : expected.data.length;
  let largest = 0;
  let worst = 0;
  for (let i = 0; i < expected.data.length; i++) {
    if (rows && rows[Math.floor(i / width)] === 0) continue;
    const value = expected.data[i] as number;
    if (!Number.isFinite(value)) {
      expect(got.data[i]).toBe(value);
      continue;
    }
    largest = Math.max(largest, Math.abs(value));
    const difference = Math.abs((got.data[i] as number) - value);
    worst = Math.max(worst, Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference);
  }
  expect(largest).toBeGreaterThan(0);
  expect(worst / Math.max(1, largest)).toBeLessThan(TOLERANCE);
}
