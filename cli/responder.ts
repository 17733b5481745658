import type { LoadedResponder } from "../src/eval/cli.ts";
import type { EvalRequest, Responder } from "../src/eval/index.ts";
import { type RawImage, type Tensor, version } from "../src/index.ts";
import { type Loaded, loadModel } from "./model.ts";
import type { ModelFlags } from "./options.ts";

/** Questions under way at once: their tokens are computed together. */
const CONCURRENCY = 4;

/** Lets a model answer the questions of a benchmark. */
export class ModelResponder implements Responder {
  readonly concurrency = CONCURRENCY;
  readonly #loaded: Loaded;

  constructor(loaded: Loaded) {
    this.#loaded = loaded;
  }

  async answer(request: EvalRequest): Promise<string> {
    const { model, processor } = this.#loaded;
    const { image, generate, signal } = request;
    const inputs = image ? await this.#withPicture(request, image) : { input_ids: [this.#textIds(request)] };
    const { max_new_tokens } = generate;
    const out = await model.generate({ ...inputs, max_new_tokens, do_sample: false, signal });
    const answer = Array.from(out.data, Number).slice(inputs.input_ids[0].length);
    return processor.decode(answer, { skip_special_tokens: true });
  }

  async #withPicture(
    request: EvalRequest,
    image: RawImage,
  ): Promise<{ input_ids: number[][]; pixel_values?: Tensor; image_sizes?: Tensor }> {
    const { processor } = this.#loaded;
    if (!request.tokenisesPieces) {
      const { input_ids, pixel_values, image_sizes } = await processor({
        images: image,
        text: request.prompt,
      });
      return { input_ids: input_ids.tolist() as number[][], pixel_values, image_sizes };
    }
    // The original cuts the prompt at the picture and tokenises each piece by itself.
    const placeholder = await processor({ images: image, text: processor.image_token });
    const id = processor.image_token_id;
    const picture = (placeholder.input_ids.tolist() as number[][])[0].filter((token) => token === id);
    const pieces = request.pieces.map((piece, i) => this.#pieceIds(piece, i > 0));
    const input_ids = pieces.flatMap((piece, i) => (i === 0 ? piece : [...picture, ...piece]));
    const { pixel_values, image_sizes } = placeholder;
    return { input_ids: [input_ids], pixel_values, image_sizes };
  }

  #textIds({ pieces, prompt, tokenisesPieces }: EvalRequest): number[] {
    const parts = tokenisesPieces ? pieces : [prompt];
    return parts.flatMap((piece, i) => this.#pieceIds(piece, i > 0));
  }

  /** A piece's ids. The beginning token is kept at the first piece alone. */
  #pieceIds(piece: string, later: boolean): number[] {
    const { tokenizer } = this.#loaded.processor;
    const ids = tokenizer.encode(piece);
    return later && ids[0] === tokenizer.bos_token_id ? ids.slice(1) : ids;
  }
}

/** Loads the model that the flags name, for `llava eval run`. */
export async function loadResponder(flags: ModelFlags): Promise<LoadedResponder> {
  const loaded = await loadModel(flags);
  const { model } = loaded;
  return {
    responder: new ModelResponder(loaded),
    model: flags.model,
    facts: { llava: version, dtype: model.dtype, device: model.device, processor: model.deviceDescription },
    close: () => model.dispose(),
  };
}
