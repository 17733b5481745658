import { OptionError } from "../base/errors.ts";
import { checkOptions } from "../base/options.ts";
import { type StreamTokenizer, TextStreamer } from "../generation/streamers.ts";
import type { Progress } from "../hub/repository.ts";
import type { ImageSource } from "../image/load_image.ts";
import type { DeviceName } from "./devices.ts";
import type { ImageTextToTextPipeline } from "./image_text_to_text.ts";
import { pipeline } from "./pipeline.ts";
import type { DTypeName } from "./pretrained.ts";

/** Options of `describe`. */
export interface DescribeOptions {
  /** A folder, a Hub id, or "llava-demo", the small model inside the package, which is the default. */
  model?: string;
  dtype?: DTypeName;
  device?: DeviceName;
  /** Longest answer, in tokens. Default: 256. */
  max_new_tokens?: number;
  /** 0, the default: the likeliest words. Above: drawn words. */
  temperature?: number;
  /** With a temperature: the same seed draws the same words. */
  seed?: number;
  /** Told of the answer piece by piece, as it comes. */
  stream?: (text: string) => void;
  signal?: AbortSignal;
  progress_callback?: (progress: Progress) => void;
}

const OPTIONS = [
  "model",
  "dtype",
  "device",
  "max_new_tokens",
  "temperature",
  "seed",
  "stream",
  "signal",
  "progress_callback",
] as const satisfies readonly (keyof DescribeOptions)[];

/** Models that were loaded, kept for the next question. */
const loaded = new Map<string, Promise<ImageTextToTextPipeline>>();

/**
 * Answers a question about a picture, or about several: `await describe("cat.jpg", "What is the cat doing?")`. The model
 * is loaded at the first call, and kept.
 *
 * @param image a path, an http(s) address, a data URI, base64, bytes, a Blob or a RawImage; or a list of them
 * @throws ImageError where a picture cannot be had; OptionError; what loading the model throws
 */
export async function describe(
  image: ImageSource | readonly ImageSource[],
  question = "Describe this picture.",
  options: DescribeOptions = {},
): Promise<string> {
  checkOptions("describe", options, OPTIONS);
  const { temperature = 0, seed, stream, signal, max_new_tokens = 256 } = options;
  if (!(temperature >= 0)) {
    throw new OptionError(`describe: temperature must be 0 or above, got ${temperature}`, {
      where: "temperature",
      got: temperature,
    });
  }
  const pipe = await modelFor(options);
  const images: readonly ImageSource[] = Array.isArray(image) ? image : [image];
  const content = [
    ...images.map((picture) => ({ type: "image" as const, image: picture })),
    { type: "text" as const, text: question },
  ];
  const drawn = temperature > 0 ? { do_sample: true, temperature, seed } : { do_sample: false };
  const [{ generated_text }] = await pipe([{ role: "user", content }], {
    return_full_text: false,
    signal,
    max_new_tokens,
    generate_kwargs: { ...drawn, streamer: stream && new CallbackStreamer(pipe.tokenizer, stream) },
  });
  return generated_text.trim();
}

/** Gives the memory of all models back that `describe` has loaded. */
export async function disposeModels(): Promise<void> {
  const pipes = [...loaded.values()];
  loaded.clear();
  for (const pipe of await Promise.allSettled(pipes))
    if (pipe.status === "fulfilled") await pipe.value.dispose();
}

async function modelFor({
  model = "llava-demo",
  dtype,
  device,
  signal,
  progress_callback,
}: DescribeOptions): Promise<ImageTextToTextPipeline> {
  const key = JSON.stringify([model, dtype, device]);
  const known = loaded.get(key);
  if (known) return known;
  const model_kwargs = { signal, progress_callback };
  const loading = pipeline("image-text-to-text", { model, dtype, device, model_kwargs });
  loaded.set(key, loading);
  // One that failed is tried again at the next call.
  loading.catch(() => loaded.delete(key));
  return loading;
}

class CallbackStreamer extends TextStreamer {
  readonly #show: (text: string) => void;

  constructor(tokenizer: StreamTokenizer, show: (text: string) => void) {
    super(tokenizer, { skip_prompt: true, skip_special_tokens: true });
    this.#show = show;
  }

  override on_finalized_text(text: string): void {
    if (text !== "") this.#show(text);
  }
}
