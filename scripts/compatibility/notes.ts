import type { Note } from "./compare.ts";

const ONE_DEVICE = "a model lives on one device, which `device` chooses";
const HOST = "tensors are on the host";
const OWN_KERNELS = "kernels are the library's own";
const RESPONSES = "no template of a LLaVA checkpoint says how an answer is taken apart";
const NOT_TRAINED = "tokenizers are not trained here";
const FILES = "a tokenizer is made from a checkpoint's files";
const PER_LAYER = "no model here has layers with settings of their own";

/** Options of `from_pretrained` that throw, and why. */
const REFUSED: Readonly<Record<string, string>> = {
  device_map: ONE_DEVICE,
  max_memory: ONE_DEVICE,
  tp_plan: ONE_DEVICE,
  tp_size: ONE_DEVICE,
  device_mesh: ONE_DEVICE,
  distributed_config: ONE_DEVICE,
  offload_folder: ONE_DEVICE,
  offload_buffers: ONE_DEVICE,
  use_kernels: OWN_KERNELS,
  allow_all_kernels: OWN_KERNELS,
  kernel_config: OWN_KERNELS,
  fusion_config: OWN_KERNELS,
  experts_implementation: "no model here has experts",
  adapter_kwargs: "adapters are not supported",
  adapter_name: "adapters are not supported",
  gguf_file: "only safetensors are read",
  state_dict: "weights come from a folder or the Hub",
  quantization_config: 'config.json says how weights are quantised; `dtype: "q8"` or `"q4"` packs them',
  trust_remote_code: "no code is loaded from checkpoints",
  proxies: "`HTTPS_PROXY` is honoured",
  tqdm_class: "`progress_callback` is told of the progress",
  disable_mmap: "files are read, tensor by tensor",
};

/**
 * What is to be said about names of Transformers, by path: `LlavaConfig.to_dict` (with its parameters),
 * `LlavaModel.forward(labels)`, or a public name for all that belongs to it.
 */
export const NOTES: Readonly<Record<string, Note>> = {
  ...refused("LlavaForConditionalGeneration", Object.keys(REFUSED)),
  ...refused("LlavaModel", ["fusion_config", "disable_mmap"]),

  "LlavaForConditionalGeneration.generate(synced_gpus)": { missing: ONE_DEVICE },
  "LlavaForConditionalGeneration.generate(custom_generate)": {
    missing: "no code is loaded from the Hub; settings say how tokens are chosen",
  },

  // What is otherwise
  "LlavaForConditionalGeneration.get_input_embeddings": {
    differs: "gives a view: `await table(ids)`, and `await table.weight()` for the numbers",
  },
  "LlavaForConditionalGeneration.get_output_embeddings": {
    differs: "gives a view: `await head(hidden_states)`, and `await head.weight()` for the numbers",
  },
  "LlavaForConditionalGeneration.get_decoder": { differs: "gives a view, `await decoder({ input_ids })`" },
  "LlavaForConditionalGeneration.resize_token_embeddings": {
    differs: "new rows are the mean of the old, without the noise of a thousandth of their spread",
  },
  "LlavaForConditionalGeneration.dequantize": {
    differs: 'gives a Promise; it also makes floats of weights that `dtype: "q8"` or `"q4"` packed',
  },
  "LlavaForConditionalGeneration.from_pretrained(key_mapping)": {
    differs: 'patterns are JavaScript\'s: "$1" stands for a group',
  },
  "LlavaForConditionalGeneration.supports_tp_plan": { differs: `false: ${ONE_DEVICE}` },
  "LlavaForConditionalGeneration.supports_pp_plan": { differs: `false: ${ONE_DEVICE}` },
  "LlavaForConditionalGeneration.supports_context_parallel": { differs: `false: ${ONE_DEVICE}` },
  StaticCache: { differs: "limits the length; pages are taken as they are needed" },
  "ImageTextToTextPipeline(return_tensors)": { differs: "false means text, too; there, any value gives ids" },

  // What throws
  LlavaModel: { differs: "made with `from_pretrained`; its constructor throws" },
  "LlavaProcessor.parse_response": { throws: RESPONSES },
  "TokenizersBackend.parse_response": { throws: RESPONSES },
  "TokenizersBackend.train_new_from_iterator": { throws: NOT_TRAINED },
  "TokenizersBackend.save_vocabulary": {
    throws: "tokenizer.json holds the vocabulary; `save_pretrained` writes it",
  },
  "TokenizersBackend.set_truncation_and_padding": { throws: "each call says how it truncates and pads" },
  "DynamicCache.update": { throws: "a model writes its keys and values itself" },
  "StaticCache.update": { throws: "a model writes its keys and values itself" },
  "DynamicCache.activate_past_recording": { missing: "no model here has layers that need it" },
  "StaticCache.activate_past_recording": { missing: "no model here has layers that need it" },
  "new DynamicCache(ddp_cache_data)": { missing: ONE_DEVICE },
  QuantizedCache: { throws: "keys and values are kept as they are computed, in float32" },

  // What is not there
  "LlavaConfig.allow_global_per_layer_attribute_access": { missing: PER_LAYER },
  "LlavaConfig.per_layer_config": { missing: PER_LAYER },
  "LlavaConfig.serialize_explicit_per_layer_config": { missing: PER_LAYER },
  "LlavaImageProcessor.process_image(device)": { missing: HOST },
  "LlavaImageProcessor.pad(is_nested)": { missing: "pictures are one flat list" },
  "LlavaImageProcessor.normalize(inplace)": { missing: "inputs are never changed" },
  "LlavaModel.save_pretrained(state_dict)": { missing: "the model's own weights are saved" },
  "LlavaModel.save_pretrained(token)": { missing: "nothing is uploaded" },
  "LlavaModel.save_pretrained(save_peft_format)": { missing: "adapters are not supported" },
  "LlavaModel.save_pretrained(distributed_checkpoint)": { missing: ONE_DEVICE },
  "LlavaForConditionalGeneration.save_pretrained(state_dict)": {
    missing: "the model's own weights are saved",
  },
  "LlavaForConditionalGeneration.save_pretrained(token)": { missing: "nothing is uploaded" },
  "LlavaForConditionalGeneration.save_pretrained(save_peft_format)": {
    missing: "adapters are not supported",
  },
  "LlavaForConditionalGeneration.save_pretrained(distributed_checkpoint)": { missing: ONE_DEVICE },
  "LlavaForConditionalGeneration.can_record_outputs": {
    missing: "`output_hidden_states` and `output_attentions` say it",
  },
  "LlavaForConditionalGeneration.ep_plan": { missing: ONE_DEVICE },
  "LlavaForConditionalGeneration.fsdp_plan": { missing: ONE_DEVICE },
  "LlavaForConditionalGeneration.pp_plan": { missing: ONE_DEVICE },
  "LlavaForConditionalGeneration.tp_plan": { missing: ONE_DEVICE },
  "LlavaForConditionalGeneration.tie_weights(missing_keys)": {
    missing: "the config alone says what is tied",
  },
  "LlavaForConditionalGeneration.tie_weights(recompute_mapping)": {
    missing: "the config alone says what is tied",
  },
  "AutoModelForImageTextToText.from_config": { missing: "a model without weights answers nothing" },
  "new MinLengthLogitsProcessor(device)": { missing: HOST },
  "new MinNewTokensLengthLogitsProcessor(device)": { missing: HOST },
  "new EtaLogitsWarper(device)": { missing: HOST },
  "new ForcedEOSTokenLogitsProcessor(device)": { missing: HOST },
  "new SuppressTokensAtBeginLogitsProcessor(device)": { missing: HOST },
  "new SuppressTokensLogitsProcessor(device)": { missing: HOST },
  "new BatchEncoding(n_sequences)": { missing: "`sequence_ids` tells" },
  "TokenizersBackend.save_pretrained(legacy_format)": { missing: "the layout of Transformers 5 is written" },
  "TokenizersBackend.save_pretrained(save_format)": { missing: "the layout of Transformers 5 is written" },
  "new LlamaTokenizer(vocab)": { missing: FILES },
  "new LlamaTokenizer(merges)": { missing: FILES },
  "new LlamaTokenizer(use_default_system_prompt)": { missing: FILES },
  "new LlamaTokenizer(legacy)": { missing: FILES },
  "new LlamaTokenizer(add_prefix_space)": { missing: FILES },
  "make_flat_list_of_images(expected_ndims)": { missing: "pictures have 3 dimensions" },
  "resize(return_numpy)": { missing: "there is one kind of array" },
  "convert_to_rgb(return_numpy)": { missing: "there is one kind of array" },
  "to_pil_image(image_mode)": { missing: "a RawImage says its channels" },
};

function refused(owner: string, names: readonly string[]): Record<string, Note> {
  return Object.fromEntries(
    names.map((name) => [`${owner}.from_pretrained(${name})`, { throws: REFUSED[name] }]),
  );
}
