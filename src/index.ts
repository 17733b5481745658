/**
 * Everything public. Names that exist in Transformers are spelled as there.
 * See README.md, and docs/architecture.md for where things live.
 */
export { AutoModelForImageTextToText } from "./api/auto_model.ts";
export { type BenchFigures, type BenchOptions, benchModel } from "./api/bench.ts";
export type { CacheDTypeName } from "./api/cache_dtype.ts";
export type { CacheLimits, CacheReport } from "./api/cache_limits.ts";
export type { DequantizeOptions } from "./api/dequantize.ts";
export { type DescribeOptions, describe, disposeModels } from "./api/describe.ts";
export type { DeviceLimits } from "./api/device_limits.ts";
export { createDevice, type DeviceName, type DeviceOptions } from "./api/devices.ts";
export { InputEmbeddings, OutputEmbeddings } from "./api/embeddings.ts";
export type { LlavaForwardOptions } from "./api/forward_inputs.ts";
export type { ImageFeatureOptions } from "./api/image_features.ts";
export { ImageTextToTextPipeline, type PipelineInit } from "./api/image_text_to_text.ts";
export { LanguageModel, type LanguageModelOptions } from "./api/language_model.ts";
export type { LossFunctionOptions } from "./api/loss.ts";
export { deviceInfo, type ModelInfo, modelInfo } from "./api/model_info.ts";
export {
  type LlavaCausalLMForwardOptions,
  LlavaForConditionalGeneration,
  LlavaModel,
} from "./api/modeling_llava.ts";
export {
  BaseModelOutputWithPooling,
  LlavaCausalLMOutputWithPast,
  LlavaModelOutputWithPast,
} from "./api/outputs.ts";
export type { PictureCacheReport } from "./api/picture_cache.ts";
export { type PipelineOptions, pipeline } from "./api/pipeline.ts";
export type { PipelineImages } from "./api/pipeline_inputs.ts";
export {
  type PipelineCallOptions,
  type PipelineIds,
  type PipelineInputs,
  type PipelineRecord,
  type PipelineResult,
  type PipelineSettings,
  type PipelineText,
  ReturnType,
} from "./api/pipeline_types.ts";
export type { PrepareInputsOptions } from "./api/prepare_inputs.ts";
export type { DTypeName, LoadingInfo, ModelFromPretrainedOptions } from "./api/pretrained.ts";
export type { KernelProfile, Profile } from "./api/profile.ts";
export type { RandomModelOptions } from "./api/random_model.ts";
export type { ResizeOptions } from "./api/resize_embeddings.ts";
export type { SavePretrainedOptions } from "./api/save_pretrained.ts";
export { type Environment, env } from "./base/env.ts";
export {
  CheckpointError,
  type ErrorFacts,
  HubError,
  ImageError,
  LlavaError,
  OptionError,
  ShapeError,
  UnsupportedError,
} from "./base/errors.ts";
export type { WeightDType } from "./devices/device.ts";
export type { CommandTimes, StepTimes } from "./devices/step_times.ts";
export {
  GenerationConfig,
  type GenerationFromPretrainedOptions,
  type GenerationJsonOptions,
} from "./generation/configuration_utils.ts";
export type { GenerateOptions } from "./generation/generate_options.ts";
export type { GenerationSettings } from "./generation/generation_fields.ts";
export type { GenerationMode } from "./generation/generation_mode.ts";
export { GenerateBeamDecoderOnlyOutput, GenerateDecoderOnlyOutput } from "./generation/generation_output.ts";
export type { JSONSchema } from "./generation/grammar/schema_keywords.ts";
export {
  type FilterOptions,
  type LogitsProcess,
  type LogitsProcessFunction,
  LogitsProcessor,
  LogitsProcessorList,
} from "./generation/logits_process/base.ts";
export {
  NoBadWordsLogitsProcessor,
  type PrefixAllowedTokensFn,
  type SequenceBias,
  SequenceBiasLogitsProcessor,
  SuppressTokensAtBeginLogitsProcessor,
  SuppressTokensLogitsProcessor,
} from "./generation/logits_process/bias.ts";
export {
  EpsilonLogitsWarper,
  EtaLogitsWarper,
  MinPLogitsWarper,
  TemperatureLogitsWarper,
  TopHLogitsWarper,
  TopKLogitsWarper,
  TopPLogitsWarper,
  TypicalLogitsWarper,
} from "./generation/logits_process/filters.ts";
export {
  ClassifierFreeGuidanceLogitsProcessor,
  type GuidanceOptions,
  UnbatchedClassifierFreeGuidanceLogitsProcessor,
} from "./generation/logits_process/guidance.ts";
export {
  JSONSchemaLogitsProcessor,
  type JSONSchemaOptions,
} from "./generation/logits_process/json_schema.ts";
export {
  ExponentialDecayLengthPenalty,
  ForcedBOSTokenLogitsProcessor,
  ForcedEOSTokenLogitsProcessor,
  MinLengthLogitsProcessor,
  MinNewTokensLengthLogitsProcessor,
} from "./generation/logits_process/length.ts";
export { InfNanRemoveLogitsProcessor, LogitNormalization } from "./generation/logits_process/numeric.ts";
export { PrefixConstrainedLogitsProcessor } from "./generation/logits_process/prefix.ts";
export {
  EncoderNoRepeatNGramLogitsProcessor,
  EncoderRepetitionPenaltyLogitsProcessor,
  NoRepeatNGramLogitsProcessor,
  RepetitionPenaltyLogitsProcessor,
} from "./generation/logits_process/repetition.ts";
export {
  type SynthIDOptions,
  SynthIDTextWatermarkLogitsProcessor,
} from "./generation/logits_process/synthid.ts";
export { WatermarkLogitsProcessor } from "./generation/logits_process/watermark.ts";
export type { PromptCacheReport } from "./generation/prompt_cache.ts";
export { StopStringCriteria } from "./generation/stop_strings.ts";
export { StoppingCriteria, type StoppingOptions } from "./generation/stopping_base.ts";
export {
  ConfidenceCriteria,
  EosTokenCriteria,
  MaxLengthCriteria,
  MaxTimeCriteria,
  StoppingCriteriaList,
  type StoppingFunction,
  validate_stopping_criteria,
} from "./generation/stopping_criteria.ts";
export {
  AsyncTextIteratorStreamer,
  BaseStreamer,
  TextIteratorStreamer,
  type TextIteratorStreamerOptions,
  TextStreamer,
  type TextStreamerOptions,
} from "./generation/streamers.ts";
export type { TransitionScoreOptions } from "./generation/transition_scores.ts";
export {
  type BaseWatermarkingConfig,
  type SynthIDTextWatermarkingConfig,
  type SynthIDTextWatermarkingOptions,
  WatermarkingConfig,
  type WatermarkingOptions,
} from "./generation/watermarking_config.ts";
export { type CachedModel, type CachedRevision, type CacheInfo, cacheInfo } from "./hub/cache_info_node.ts";
export { removeCached } from "./hub/cache_remove_node.ts";
export type { PackedCopyInfo } from "./hub/packed_folder_node.ts";
export { pull } from "./hub/pull.ts";
export type { HubOptions, Progress } from "./hub/repository.ts";
export type { WeightsOptions } from "./hub/weights.ts";
export { type ImageSource, type LoadImageOptions, load_image } from "./image/load_image.ts";
export { RawImage, type RawImageData } from "./image/raw_image.ts";
export { AutoConfig } from "./models/auto/configuration_auto.ts";
export {
  AutoImageProcessor,
  type AutoImageProcessorOptions,
  type ImageProcessorBackend,
} from "./models/auto/image_processing_auto.ts";
export { AutoProcessor } from "./models/auto/processing_auto.ts";
export { AutoTokenizer, type AutoTokenizerOptions } from "./models/auto/tokenization_auto.ts";
export { CLIPVisionConfig } from "./models/clip/configuration_clip.ts";
export { CLIPImageProcessor, CLIPImageProcessorFast } from "./models/clip/image_processing_clip.ts";
export { CLIPImageProcessorPil } from "./models/clip/image_processing_pil_clip.ts";
export type { ConfigDict } from "./models/config_fields.ts";
export {
  type ConfigFromPretrainedOptions,
  type ConfigJsonOptions,
  PreTrainedConfig,
} from "./models/configuration_utils.ts";
export { GemmaConfig } from "./models/gemma/configuration_gemma.ts";
export { LlamaConfig } from "./models/llama/configuration_llama.ts";
export { LlamaTokenizer, LlamaTokenizerFast } from "./models/llama/tokenization_llama.ts";
export { LlavaConfig } from "./models/llava/configuration_llava.ts";
export { LlavaImageProcessor, LlavaImageProcessorFast } from "./models/llava/image_processing_llava.ts";
export { LlavaImageProcessorPil } from "./models/llava/image_processing_pil_llava.ts";
export { LlavaProcessor, type LlavaProcessorInit } from "./models/llava/processing_llava.ts";
export { MistralConfig } from "./models/mistral/configuration_mistral.ts";
export { ModelOutput } from "./models/model_output.ts";
export { PixtralVisionConfig } from "./models/pixtral/configuration_pixtral.ts";
export { PixtralImageProcessorPil } from "./models/pixtral/image_processing_pil_pixtral.ts";
export {
  PixtralImageProcessor,
  PixtralImageProcessorFast,
} from "./models/pixtral/image_processing_pixtral.ts";
export type { PixtralOptions } from "./models/pixtral/image_sizes.ts";
export { PixtralProcessor, type PixtralProcessorInit } from "./models/pixtral/processing_pixtral.ts";
export { BatchFeature, type TensorType } from "./models/processing/batch_feature.ts";
export type { ProcessImageOptions } from "./models/processing/image_backend.ts";
export {
  type ImageInput,
  infer_channel_dimension_format,
  make_flat_list_of_images,
  type SingleImage,
} from "./models/processing/image_inputs.ts";
export {
  type ChannelDimension,
  type ImagesKwargs,
  type Resampling,
  validate_preprocess_arguments,
} from "./models/processing/image_kwargs.ts";
export { type PadImageOptions, pad } from "./models/processing/image_pad.ts";
export { to_channel_dimension_format } from "./models/processing/image_pixels.ts";
export type {
  ImageProcessorFromPretrained,
  ImageProcessorInit,
  PreprocessOptions,
} from "./models/processing/image_signatures.ts";
export { get_size_with_aspect_ratio, type SizeDict, type SizeLike } from "./models/processing/image_sizes.ts";
export {
  center_crop,
  convert_to_rgb,
  normalize,
  rescale,
  resize,
  to_numpy_array,
  to_pil_image,
} from "./models/processing/image_transforms.ts";
export {
  get_image_size,
  get_resize_output_image_size,
  load_image_as_tensor,
  load_images,
  type ResizeOutputOptions,
} from "./models/processing/image_utils.ts";
export type { Replacement } from "./models/processing/placeholders.ts";
export { ProcessorMixin } from "./models/processing/processing_utils.ts";
export type { ProcessorChatOptions } from "./models/processing/processor_chat.ts";
export type {
  ProcessingKwargs,
  ProcessorArguments,
  ProcessorInputs,
  ProcessorOutputKwargs,
} from "./models/processing/processor_kwargs.ts";
export type { ProcessorFromPretrained } from "./models/processing/processor_load.ts";
export type {
  ImageLists,
  ImageTensors,
  TextLists,
  TextTensors,
} from "./models/processing/processor_outputs.ts";
export type { ProcessorInit } from "./models/processing/processor_parts.ts";
export { AwqConfig, type AwqOptions } from "./models/quantizers/awq_config.ts";
export { BitsAndBytesConfig, type BitsAndBytesOptions } from "./models/quantizers/bitsandbytes_config.ts";
export { GPTQConfig, type GPTQOptions } from "./models/quantizers/gptq_config.ts";
export { Qwen2Config } from "./models/qwen2/configuration_qwen2.ts";
export type { RopeParameters } from "./models/rope_parameters.ts";
export { SiglipVisionConfig } from "./models/siglip/configuration_siglip.ts";
export { SiglipImageProcessorPil } from "./models/siglip/image_processing_pil_siglip.ts";
export { SiglipImageProcessor, SiglipImageProcessorFast } from "./models/siglip/image_processing_siglip.ts";
export type { TextConfig } from "./models/text_config.ts";
export type { TokenizerChatOptions } from "./models/tokenization/apply_chat_template.ts";
export { BatchEncoding } from "./models/tokenization/batch_encoding.ts";
export type {
  ChatMessage,
  Conversation,
  ImagePart,
  OtherPart,
  TextPart,
} from "./models/tokenization/chat.ts";
export type { DecodeOptions } from "./models/tokenization/decode.ts";
export type { TokenizerFromPretrained } from "./models/tokenization/load.ts";
export type {
  PaddingStrategy,
  TokenizerCallOptions,
  TruncationStrategy,
} from "./models/tokenization/options.ts";
export type { ChatTemplates, TokenizerInit } from "./models/tokenization/tokenizer_init.ts";
export { PreTrainedTokenizerFast, TokenizersBackend } from "./models/tokenization_utils_tokenizers.ts";
export type { VisionConfig } from "./models/vision_config.ts";
export { type CacheOptions, DynamicCache } from "./nn/dynamic_cache.ts";
export {
  QuantizedCache,
  type QuantizedCacheOptions,
  StaticCache,
  type StaticCacheOptions,
} from "./nn/static_cache.ts";
export type { DType, TypedArray } from "./tensor/dtype.ts";
export type { Ids } from "./tensor/ids.ts";
export { type NestedNumbers, Tensor } from "./tensor/tensor.ts";
export type { AddedToken } from "./text/added_tokens.ts";
export { DecodeStream } from "./text/decode_stream.ts";
export { version } from "./version.ts";
