import { Callable } from "../base/callable.ts";
import { ShapeError } from "../base/errors.ts";
import { checkVocabulary, type Ids, idRows } from "../tensor/ids.ts";
import { Tensor } from "../tensor/tensor.ts";
import type { LlavaRuntime } from "./llava_runtime.ts";
import { readNumbers } from "./model_weights.ts";

const CallableIds = Callable as unknown as abstract new () => (input_ids: Ids) => Promise<Tensor>;
const CallableStates = Callable as unknown as abstract new () => (hidden_states: Tensor) => Promise<Tensor>;

/** The table of token embeddings: `await embeddings(input_ids)` looks rows up. */
export class InputEmbeddings extends CallableIds {
  readonly #runtime: LlavaRuntime;

  constructor(runtime: LlavaRuntime) {
    super();
    this.#runtime = runtime;
  }

  /** Rows of the table. */
  get num_embeddings(): number {
    return this.#runtime.model.language_model.embed_tokens.weight.shape[0];
  }

  /** Columns of the table. */
  get embedding_dim(): number {
    return this.#runtime.model.language_model.embed_tokens.weight.shape[1];
  }

  /**
   * Ids to embeddings: [B, L] to [B, L, D].
   *
   * @throws OptionError where an id is no token of the model
   */
  async __call__(input_ids: Ids): Promise<Tensor> {
    const rows = idRows("input_ids", input_ids);
    checkVocabulary("input_ids", rows, this.num_embeddings);
    const [tensor] = await this.#runtime.device.step(() => [this.#runtime.embed(rows.flat())]);
    return new Tensor("float32", [rows.length, rows[0].length, this.embedding_dim], tensor.data);
  }

  /** The table itself, as float32: [num_embeddings, embedding_dim]. */
  weight(): Promise<Tensor> {
    return readNumbers(this.#runtime.device, this.#runtime.model.language_model.embed_tokens.weight);
  }
}

/** The head that gives each token a score: `await head(hidden_states)`. */
export class OutputEmbeddings extends CallableStates {
  readonly #runtime: LlavaRuntime;

  constructor(runtime: LlavaRuntime) {
    super();
    this.#runtime = runtime;
  }

  get in_features(): number {
    return this.#runtime.head.weight.shape[1];
  }

  get out_features(): number {
    return this.#runtime.head.weight.shape[0];
  }

  /**
   * Hidden states to logits: [..., D] to [..., V].
   *
   * @throws ShapeError where the last size is not `in_features`, or the numbers are not float32
   */
  async __call__(hidden_states: Tensor): Promise<Tensor> {
    const { dtype, shape, data } = hidden_states;
    const D = this.in_features;
    if (dtype !== "float32" || shape[shape.length - 1] !== D || data.length === 0) {
      throw new ShapeError(`lm_head: expected float32 [..., ${D}], got ${dtype} [${shape}]`, {
        where: "hidden_states",
        expected: [D],
        got: shape,
      });
    }
    const { device, head } = this.#runtime;
    const flat = new Tensor("float32", [data.length / D, D], data);
    const [logits] = await device.step(() => [head.forward(device.upload(flat))]);
    return new Tensor("float32", [...shape.slice(0, -1), this.out_features], logits.data);
  }

  /** The matrix itself, as float32: [out_features, in_features]. */
  weight(): Promise<Tensor> {
    return readNumbers(this.#runtime.device, this.#runtime.head.weight);
  }
}
