import { Callable } from "../../base/callable.ts";
import { OptionError } from "../../base/errors.ts";
import { checkOptions } from "../../base/options.ts";
import { openRepository } from "../../hub/open.ts";
import { HUB_OPTIONS, type HubOptions, type Repository } from "../../hub/repository.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { AutoImageProcessor, type AutoImageProcessorOptions } from "../auto/image_processing_auto.ts";
import { autoTokenizerFrom } from "../auto/tokenization_auto.ts";
import { pythonJson } from "../config_json.ts";
import type { Conversation } from "../tokenization/chat.ts";
import type { DecodeOptions, Ids, IdsRow } from "../tokenization/decode.ts";
import type { TokenizerFromPretrained } from "../tokenization/load.ts";
import { splitOptions } from "../tokenization/load.ts";
import type { TokenizerCallOptions } from "../tokenization/options.ts";
import { saveFiles, templateFiles } from "../tokenization/save.ts";
import { type ChatTemplates, chatTemplateSetting, TOKENIZER_SETTINGS } from "../tokenization/tokenizer_init.ts";
import { TokenizersBackend } from "../tokenization_utils_tokenizers.ts";
import { BatchFeature, type TensorType } from "./batch_feature.ts";
import type { ImageInput, SingleImage } from "./image_inputs.ts";
import { make_flat_list_of_images } from "./image_inputs.ts";
import type { ImagesKwargs } from "./image_kwargs.ts";
import { BaseImageProcessor } from "./image_processing_utils.ts";
import { checkPlaceholderCount, checkTokenCount, type Replacement, replacePlaceholders } from "./placeholders.ts";
import { applyChatTemplate, type ProcessorChatOptions } from "./processor_chat.ts";
import { PROCESSOR_NAME, readProcessorDict } from "./processor_files.ts";
import {
  knownKwargs,
  type MergedKwargs,
  mergeKwargs,
  type ProcessingKwargs,
  type ProcessorArguments,
} from "./processor_kwargs.ts";
