import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { FileAccess } from "../../src/hub/file_access_node.ts";
import { readHeader } from "../../src/hub/safetensors.ts";
import { viewBytes } from "../../src/tensor/dtype.ts";
import { Tensor } from "../../src/tensor/tensor.ts";

/** One call of a kernel, as scripts/fixtures/kernel_calls.py recorded it. */
export interface Call {
  what: string;
  kernel: string;
  tensors: Record<string, Tensor>;
  loaded: string[];
  params: Record<string, unknown>;
  y: Tensor;
}

/** A table of rotary angles, and what Transformers made of it. */
export interface Table {
  what: string;
  angles: Tensor;
  scaling: number;
  cos: Tensor;
  sin: Tensor;
}

interface Facts {
  tables: { what: string; angles: string; scaling: number; cos: string; sin: string }[];
  activations: string[];
  records: {
    what: string;
    kernel: string;
    inputs: Record<string, string>;
    loaded: string[];
    params: Call["params"];
    y: string;
  }[];
}

/** What PyTorch and Transformers computed. */
export class Recorded {
  readonly #facts: Facts;
  readonly #tensors: ReadonlyMap<string, Tensor>;

  private constructor(facts: Facts, tensors: ReadonlyMap<string, Tensor>) {
    this.#facts = facts;
    this.#tensors = tensors;
  }

  static async read(): Promise<Recorded> {
    const folder = fileURLToPath(new URL("../fixtures/kernels", import.meta.url));
    const facts = JSON.parse(await readFile(`${folder}/kernels.json`, "utf8")) as Facts;
    const file = await FileAccess.open(`${folder}/kernels.safetensors`, "kernels.safetensors");
    const { tensors } = await readHeader(file, "kernels.safetensors");
    const read = new Map<string, Tensor>();
    for (const { name, dtype, shape, begin, end } of tensors.values()) {
      read.set(name, new Tensor(dtype, shape, viewBytes(dtype, await file.read(begin, end - begin))));
    }
    await file.close();
    return new Recorded(facts, read);
  }

  /** The activations that Transformers has and that need no numbers of their own. */
  get activations(): readonly string[] {
    return this.#facts.activations;
  }

  get calls(): Call[] {
    return this.#facts.records.map(({ inputs, y, ...call }) => {
      const tensors = Object.entries(inputs).map(([name, stored]) => [name, this.tensor(stored)]);
      return { ...call, tensors: Object.fromEntries(tensors), y: this.tensor(y) };
    });
  }

  get tables(): Table[] {
    return this.#facts.tables.map(({ what, angles, scaling, cos, sin }) => ({
      what,
      angles: this.tensor(angles),
      scaling,
      cos: this.tensor(cos),
      sin: this.tensor(sin),
    }));
  }

  tensor(name: string): Tensor {
    const tensor = this.#tensors.get(name);
    if (!tensor) throw new Error(`the fixture has no tensor ${name}`);
    return tensor;
  }
}
