import { Callable } from "../../base/callable.ts";
import { UnsupportedError } from "../../base/errors.ts";
import { checkOptions } from "../../base/options.ts";
import { splitHubOptions } from "../../hub/repository.ts";
import { RawImage } from "../../image/raw_image.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { cloneJson, pythonJson } from "../config_json.ts";
import { saveTextFile, saveTextFileAt } from "../save_file.ts";
import { BatchFeature } from "./batch_feature.ts";
import { buildProcessor, type ImageProcessorClass } from "./build_processor.ts";
import { readImageProcessorDict, readJsonFile } from "./image_config_files.ts";
import { fetchImage, type ImageInput, make_flat_list_of_images, type SingleImage } from "./image_inputs.ts";
import {
  type ChannelDimension,
  IMAGES_KWARGS,
  type ImagesKwargs,
  type ResolvedKwargs,
  standardize,
  standardizeSizes,
  validate_preprocess_arguments,
} from "./image_kwargs.ts";
import type {
  ImageFeatures,
  ImageProcessorFromPretrained,
  ImageProcessorInit,
  NestedFeatures,
  Preprocess,
  PreprocessOptions,
} from "./image_signatures.ts";
import type { SizeDict } from "./image_sizes.ts";
import { type Processed, pack } from "./pack.ts";
import { PreparedPictures } from "./prepared_pictures.ts";

const CallablePreprocess = Callable as unknown as abstract new <
  F extends object,
  O extends PreprocessOptions,
>() => Preprocess<F, O>;

/** What files say about other things than the pictures. */
const NOT_KEPT = ["feature_extractor_type", "processor_class"];

const hidden = Symbol("attributes that share a name with a method");

/**
 * Base of image processors: options, files, and the way of a picture from wherever it comes to `pixel_values`.
 * What is done to the pixels, and in which arithmetic, stands in the backends and the classes of each model.
 */
export abstract class BaseImageProcessor<
  F extends object = ImageFeatures,
  O extends PreprocessOptions = PreprocessOptions,
> extends CallablePreprocess<F, O> {
  /** Names of the options. */
  static readonly valid_kwargs: readonly string[] = IMAGES_KWARGS;
  /** What an option is where nothing says otherwise. */
  static readonly defaults: ImagesKwargs & Readonly<Record<string, unknown>> = {};
  /** The name by which files know the class. */
  static readonly image_processor_type: string = "BaseImageProcessor";

  declare do_convert_rgb: boolean | null;
  declare do_resize: boolean | null;
  declare size: SizeDict | null;
  declare default_to_square: boolean | null;
  declare crop_size: SizeDict | null;
  declare resample: ResolvedKwargs["resample"];
  declare do_rescale: boolean | null;
  declare rescale_factor: number | null;
  declare do_normalize: boolean | null;
  declare image_mean: number | readonly number[] | null;
  declare image_std: number | readonly number[] | null;
  declare do_pad: boolean | null;
  declare pad_size: SizeDict | null;
  declare do_center_crop: boolean | null;
  declare data_format: ChannelDimension | null;
  declare input_data_format: ChannelDimension | null;
  declare [hidden]: Map<string, unknown>;
  #prepared: PreparedPictures | undefined;

  /**
   * @param options an explicit null stays null; what is no option is kept as an attribute
   * @throws OptionError where a size has none of its forms
   */
  constructor(options: ImageProcessorInit = {}) {
    super();
    Object.defineProperty(this, hidden, { value: new Map() });
    const given = Object.entries(options).filter(
      ([name, value]) => value !== undefined && !NOT_KEPT.includes(name),
    );
    const { valid_kwargs, defaults } = this.#class;
    const values = new Map<string, unknown>(given);
    for (const name of valid_kwargs) if (!values.has(name)) values.set(name, defaults[name] ?? null);
    for (const [name, value] of values) this.#set(name, cloneJson(value), true);
    // As in Transformers, where it is an attribute of the class: it is saved only where it was given.
    if (!given.some(([name]) => name === "default_to_square")) {
      this.#set("default_to_square", defaults.default_to_square ?? true, false);
    }
    const sizes = standardizeSizes(
      Object.fromEntries(values.set("default_to_square", this.default_to_square)),
    );
    for (const [name, value] of Object.entries(sizes)) this.#set(name, value, true);
  }

  /** Which library's arithmetic is computed. */
  abstract get backend(): "torchvision" | "pil";

  /** The names of the outputs. */
  get model_input_names(): string[] {
    return ["pixel_values"];
  }

  __call__(images: ImageInput, options?: O): Promise<BatchFeature<F>> {
    return this.preprocess(images, options);
  }

  /**
   * Makes pictures into what the model looks at.
   *
   * @throws OptionError for options that are unknown, of the wrong type, or lack another; for images that are none
   * @throws ImageError where a picture cannot be loaded
   * @throws ShapeError where pictures end up with unequal sizes and are to be one tensor
   */
  preprocess(
    images: ImageInput,
    options: O & { return_tensors: null },
  ): Promise<BatchFeature<NestedFeatures<F>>>;
  preprocess(images: ImageInput, options?: O): Promise<BatchFeature<F>>;
  async preprocess(images: ImageInput, options: PreprocessOptions = {}): Promise<unknown> {
    const { signal, image_like_kwargs, ...call } = options;
    const { valid_kwargs, image_processor_type } = this.#class;
    const where = `${image_processor_type}.preprocess`;
    checkOptions(where, call, valid_kwargs);
    if (Object.keys(image_like_kwargs ?? {}).length > 0) {
      throw new UnsupportedError(`${where}: image_like_kwargs: this processor takes only 'images'`);
    }
    const kwargs = this.#resolve(where, call);
    validate_preprocess_arguments({ ...kwargs, do_pad: null });
    const processed: Tensor[] = [];
    for (const image of make_flat_list_of_images(images)) {
      signal?.throwIfAborted();
      const fetched = await fetchImage(image, this.backend, signal);
      const make = (): Tensor => this.transform(this.process_image(fetched, kwargs), kwargs);
      const kept = fetched instanceof RawImage && this.#prepared?.take(fetched, kwargs, make);
      processed.push(kept || make());
    }
    const nested = call.return_tensors === null;
    return new BatchFeature(pack(this.collate(processed, kwargs), nested));
  }

  /**
   * From now on, what is made of a `RawImage` is kept as long as that object lives, and not made again: for pictures that
   * come more than once, and whose pixels stay as they are. Nor may `pixel_values` be written to then: one picture's are
   * what is kept.
   */
  keepPrepared(): void {
    this.#prepared ??= new PreparedPictures();
  }

  /** One picture as an array of [channels, height, width], in RGB where `do_convert_rgb` says so. */
  abstract process_image(
    image: RawImage | Tensor,
    options?: { do_convert_rgb?: boolean | null; input_data_format?: ChannelDimension | null },
  ): Tensor;

  /** All that is done to one picture. [C, H, W] -> [C, h, w] */
  protected abstract transform(image: Tensor, kwargs: ResolvedKwargs): Tensor;

  /** All that is done to the pictures together. */
  protected abstract collate(images: Tensor[], kwargs: ResolvedKwargs): Processed;

  /** Loads pictures; what is decoded already stays as it is, and so do lists of lists. */
  fetch_images(images: SingleImage): Promise<RawImage | Tensor>;
  fetch_images(images: readonly SingleImage[]): Promise<(RawImage | Tensor)[]>;
  fetch_images(images: readonly (readonly SingleImage[])[]): Promise<(RawImage | Tensor)[][]>;
  async fetch_images(images: ImageInput): Promise<unknown> {
    if (images instanceof Tensor) return images;
    if (!Array.isArray(images)) return fetchImage(make_flat_list_of_images(images)[0], this.backend);
    const fetched: unknown[] = [];
    for (const image of images as readonly SingleImage[]) fetched.push(await this.fetch_images(image));
    return fetched;
  }

  /**
   * The processor that a checkpoint's files describe; `image_processor` inside processor_config.json goes before
   * preprocessor_config.json.
   *
   * @param name_or_path a folder, a Hub id, or the path of a JSON file
   */
  static from_pretrained<P>(
    this: ImageProcessorClass<P>,
    name_or_path: string,
    options: ImageProcessorFromPretrained & { return_unused_kwargs: true },
  ): Promise<[P, Record<string, unknown>]>;
  static from_pretrained<P>(
    this: ImageProcessorClass<P>,
    name_or_path: string,
    options?: ImageProcessorFromPretrained,
  ): Promise<P>;
  static async from_pretrained<P>(
    this: ImageProcessorClass<P>,
    name_or_path: string,
    options: ImageProcessorFromPretrained = {},
  ): Promise<P | [P, Record<string, unknown>]> {
    const [dict, rest] = await BaseImageProcessor.get_image_processor_dict(name_or_path, options);
    return buildProcessor(this, dict, rest, "from_pretrained");
  }

  /** The JSON that describes a checkpoint's processor, and the options that do not say where to look. */
  static async get_image_processor_dict(
    name_or_path: string,
    options: ImageProcessorFromPretrained = {},
  ): Promise<[Record<string, unknown>, Record<string, unknown>]> {
    const { image_processor_filename, ...others } = options;
    const [hub, rest] = splitHubOptions(others);
    return [await readImageProcessorDict(name_or_path, hub, image_processor_filename), rest];
  }

  /** The processor that `image_processor_dict` describes, `options` going before it. Unknown keys are kept. */
  static from_dict<P>(
    this: ImageProcessorClass<P>,
    image_processor_dict: Readonly<Record<string, unknown>>,
    options: ImagesKwargs & { return_unused_kwargs: true },
  ): [P, Record<string, unknown>];
  static from_dict<P>(
    this: ImageProcessorClass<P>,
    image_processor_dict: Readonly<Record<string, unknown>>,
    options?: ImagesKwargs & { return_unused_kwargs?: boolean },
  ): P;
  static from_dict<P>(
    this: ImageProcessorClass<P>,
    image_processor_dict: Readonly<Record<string, unknown>>,
    options: ImagesKwargs & { return_unused_kwargs?: boolean } = {},
  ): P | [P, Record<string, unknown>] {
    return buildProcessor(this, image_processor_dict, { ...options }, "from_dict");
  }

  /** The processor that a JSON file describes. */
  static async from_json_file<P>(this: ImageProcessorClass<P>, json_file: string): Promise<P> {
    return buildProcessor(this, await readJsonFile(json_file), {}, "from_json_file") as P;
  }

  /** All attributes, and the name of the class, as plain JSON. */
  to_dict(): Record<string, unknown> {
    const { defaults, image_processor_type } = this.#class;
    const entries = [...Object.entries(this), ...this[hidden]].filter(([name, value]) => {
      if (name === "_valid_processor_keys") return false;
      return (value !== null && value !== undefined) || (defaults[name] ?? null) !== null;
    });
    const dict = cloneJson(Object.fromEntries(entries)) as Record<string, unknown>;
    return { ...dict, image_processor_type };
  }

  /** The text of preprocessor_config.json. */
  to_json_string(): string {
    return pythonJson(this.to_dict(), () => false);
  }

  async to_json_file(json_file_path: string): Promise<void> {
    await saveTextFileAt(json_file_path, this.to_json_string());
  }

  /**
   * Writes preprocessor_config.json.
   *
   * @returns the paths of the files written
   * @throws CheckpointError where the folder cannot be written
   */
  async save_pretrained(save_directory: string): Promise<string[]> {
    await saveTextFile(save_directory, "preprocessor_config.json", this.to_json_string());
    return [`${save_directory.replace(/\/$/, "")}/preprocessor_config.json`];
  }

  get #class(): typeof BaseImageProcessor {
    return this.constructor as typeof BaseImageProcessor;
  }

  #resolve(where: string, call: Readonly<Record<string, unknown>>): ResolvedKwargs {
    const own = this as unknown as Readonly<Record<string, unknown>>;
    const names = [...this.#class.valid_kwargs];
    return standardize(where, Object.fromEntries(names.map((name) => [name, call[name] ?? ownOrNull(name)])));

    function ownOrNull(name: string): unknown {
      return call[name] === null ? null : own[name];
    }
  }

  /** A key that a method has too is kept beside the attributes: a file must not replace a method. */
  #set(name: string, value: unknown, enumerable: boolean): void {
    if (name in Object.getPrototypeOf(this)) this[hidden].set(name, value);
    else Object.defineProperty(this, name, { value, enumerable, writable: true, configurable: true });
  }
}
