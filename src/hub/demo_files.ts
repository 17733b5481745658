/** The files of the bundled checkpoint. A browser that asked for others would report each as an error. */
export const DEMO_FILES: readonly string[] = [
  "added_tokens.json",
  "chat_template.json",
  "config.json",
  "generation_config.json",
  "model.safetensors",
  "preprocessor_config.json",
  "processor_config.json",
  "special_tokens_map.json",
  "tokenizer.json",
  "tokenizer_config.json",
];
