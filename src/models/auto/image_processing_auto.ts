import { warnOnce } from "../../base/env.ts";
import { CheckpointError, OptionError, UnsupportedError } from "../../base/errors.ts";
import { HUB_OPTIONS, type HubOptions } from "../../hub/repository.ts";
import { CLIPImageProcessor } from "../clip/image_processing_clip.ts";
import { CLIPImageProcessorPil } from "../clip/image_processing_pil_clip.ts";
import { LlavaImageProcessor } from "../llava/image_processing_llava.ts";
import { LlavaImageProcessorPil } from "../llava/image_processing_pil_llava.ts";
import { PixtralImageProcessorPil } from "../pixtral/image_processing_pil_pixtral.ts";
import { PixtralImageProcessor } from "../pixtral/image_processing_pixtral.ts";
import { buildProcessor, type ImageProcessorClass } from "../processing/build_processor.ts";
import { readModelConfig } from "../processing/image_config_files.ts";
import { BaseImageProcessor } from "../processing/image_processing_utils.ts";
import type { ImageProcessorFromPretrained } from "../processing/image_signatures.ts";
import { SiglipImageProcessorPil } from "../siglip/image_processing_pil_siglip.ts";
import { SiglipImageProcessor } from "../siglip/image_processing_siglip.ts";

/** Whose arithmetic is computed. */
export type ImageProcessorBackend = "torchvision" | "pil";

export interface AutoImageProcessorOptions extends ImageProcessorFromPretrained {
  /** "torchvision" where it is null, as in Transformers where torchvision is installed. */
  backend?: ImageProcessorBackend | null;
  /** The older way to say it: true is "torchvision", false "pil". */
  use_fast?: boolean | null;
  /** The model's config, if it is there already: its `model_type` counts where the files name no processor. */
  config?: { readonly model_type?: string } | null;
}

type Backends = Readonly<Record<ImageProcessorBackend, ImageProcessorClass<BaseImageProcessor>>>;

/** By the name in the files. */
const BY_TYPE: ReadonlyMap<string, Backends> = new Map([
  ["CLIPImageProcessor", { torchvision: CLIPImageProcessor, pil: CLIPImageProcessorPil }],
  ["LlavaImageProcessor", { torchvision: LlavaImageProcessor, pil: LlavaImageProcessorPil }],
  ["PixtralImageProcessor", { torchvision: PixtralImageProcessor, pil: PixtralImageProcessorPil }],
  ["SiglipImageProcessor", { torchvision: SiglipImageProcessor, pil: SiglipImageProcessorPil }],
]);

/** What is taken for a `model_type` where the files name no processor. */
const BY_MODEL: Readonly<Record<string, string>> = {
  llava: "LlavaImageProcessor",
  clip: "CLIPImageProcessor",
  siglip: "SiglipImageProcessor",
  pixtral: "PixtralImageProcessor",
};

/** Finds the image processor by what a checkpoint says it has. */
export class AutoImageProcessor {
  constructor() {
    throw new OptionError("AutoImageProcessor is made with AutoImageProcessor.from_pretrained(name)");
  }

  /**
   * The image processor of a checkpoint, as the class that its files name.
   *
   * @throws UnsupportedError where they name one that is not here
   * @throws CheckpointError where they name none, and the model's type does not tell
   */
  static from_pretrained(
    name: string,
    options: AutoImageProcessorOptions & { return_unused_kwargs: true },
  ): Promise<[BaseImageProcessor, Record<string, unknown>]>;
  static from_pretrained(name: string, options?: AutoImageProcessorOptions): Promise<BaseImageProcessor>;
  static async from_pretrained(
    name: string,
    options: AutoImageProcessorOptions = {},
  ): Promise<BaseImageProcessor | [BaseImageProcessor, Record<string, unknown>]> {
    const { backend, use_fast, config, ...others } = options;
    const [dict, rest] = await BaseImageProcessor.get_image_processor_dict(name, others);
    const type = typeOf(dict) ?? BY_MODEL[await modelTypeOf(name, config ?? null, others)];
    if (type === undefined) {
      throw new CheckpointError(
        `${name}: its files do not say which image processor it has (image_processor_type). Load it with a class of its own, such as CLIPImageProcessor.`,
        { where: "image_processor_type" },
      );
    }
    const processorClass = image_processor_class(type)[chosenBackend(backend ?? null, use_fast ?? null)];
    return buildProcessor(processorClass, dict, rest, "AutoImageProcessor.from_pretrained");
  }
}

/**
 * The classes for a name in a file: with the endings Fast and Pil, or as the feature extractor it once was.
 *
 * @throws UnsupportedError where there is none
 */
export function image_processor_class(type: string): Backends {
  const found = BY_TYPE.get(type.replace(/(Fast|Pil)$/, "").replace(/FeatureExtractor$/, "ImageProcessor"));
  if (found !== undefined) return found;
  const known = [...BY_TYPE.keys()].join(", ");
  throw new UnsupportedError(`image_processor_type: there is no ${type}; there are ${known}`, {
    where: "image_processor_type",
    expected: known,
    got: type,
  });
}

function typeOf(dict: Readonly<Record<string, unknown>>): string | undefined {
  const { image_processor_type, feature_extractor_type } = dict;
  if (typeof image_processor_type === "string") return image_processor_type;
  return typeof feature_extractor_type === "string" ? feature_extractor_type : undefined;
}

async function modelTypeOf(
  name: string,
  config: { readonly model_type?: string } | null,
  options: Readonly<Record<string, unknown>>,
): Promise<string> {
  const hub = Object.entries(options).filter(([option]) => HUB_OPTIONS.includes(option));
  const { model_type } = config ?? (await readModelConfig(name, Object.fromEntries(hub) as HubOptions));
  return typeof model_type === "string" ? model_type : "";
}

function chosenBackend(backend: string | null, use_fast: boolean | null): ImageProcessorBackend {
  if (use_fast !== null) {
    warnOnce('use_fast is deprecated: give backend "torchvision" instead of true, "pil" instead of false.');
  }
  const chosen = backend ?? ((use_fast ?? true) ? "torchvision" : "pil");
  if (chosen === "torchvision" || chosen === "pil") return chosen;
  throw new OptionError(`backend must be "torchvision" or "pil", got ${JSON.stringify(backend)}`, {
    where: "backend",
    expected: ["torchvision", "pil"],
    got: backend,
  });
}
