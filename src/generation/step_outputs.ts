import type { Tensor } from "../tensor/tensor.ts";
import type { GenerationConfig } from "./configuration_utils.ts";
import { LayerOutputs, type TracedRow } from "./layer_outputs.ts";
import type { Traced } from "./scheduler_step.ts";

/** What is to be kept of the steps of a generation. */
export interface KeptOutputs {
  scores: boolean;
  logits: boolean;
  layers?: Traced;
}

/** The outputs that a call asks for; none without `return_dict_in_generate`. */
export function keptOutputs(config: GenerationConfig): KeptOutputs {
  const asked = (flag: boolean | null): boolean => config.return_dict_in_generate === true && flag === true;
  const [hidden_states, attentions] = [asked(config.output_hidden_states), asked(config.output_attentions)];
  return {
    scores: asked(config.output_scores),
    logits: asked(config.output_logits),
    layers: hidden_states || attentions ? { hidden_states, attentions } : undefined,
  };
}

/** What `generate` gives of each step, as far as it was asked for. */
export class StepOutputs {
  readonly #kept: KeptOutputs;
  readonly #layers: LayerOutputs | undefined;
  readonly #scores: Tensor[] = [];
  readonly #logits: Tensor[] = [];

  constructor(kept: KeptOutputs) {
    this.#kept = kept;
    this.#layers = kept.layers && new LayerOutputs(kept.layers);
  }

  /** What the group wants to see of the layers. */
  get traced(): Traced | undefined {
    return this.#kept.layers;
  }

  /** Whether anything is kept of rows that others look at after they have ended. */
  get any(): boolean {
    return this.#kept.scores || this.#kept.logits || this.#layers !== undefined;
  }

  /** [steps]: processed scores, [B, V]. */
  get scores(): Tensor[] | undefined {
    return this.#kept.scores ? this.#scores : undefined;
  }

  /** [steps]: logits, [B, V]. */
  get logits(): Tensor[] | undefined {
    return this.#kept.logits ? this.#logits : undefined;
  }

  /** [steps][layers + 1]: [B, L, D] */
  get hidden_states(): Tensor[][] | undefined {
    return this.#layers?.traced.hidden_states ? this.#layers.hidden_states : undefined;
  }

  /** [steps][layers]: [B, H, L, keys] */
  get attentions(): Tensor[][] | undefined {
    return this.#layers?.traced.attentions ? this.#layers.attentions : undefined;
  }

  addScores(scores: Tensor): void {
    if (this.#kept.scores) this.#scores.push(scores);
  }

  addLogits(logits: Tensor): void {
    if (this.#kept.logits) this.#logits.push(logits);
  }

  /** As `LayerOutputs.add`; the rows are only made where the layers are kept. */
  addLayers(rows: () => readonly TracedRow[], length: number, width: number): void {
    this.#layers?.add(rows(), length, width);
  }
}
