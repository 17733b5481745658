import type { Note } from "./compare.ts";

/** What is to be said about names of Transformers, by path (`LlavaConfig.to_dict`, `LlavaModel.forward(labels)`). */
export const NOTES: Readonly<Record<string, Note>> = {
  "LlavaProcessor.parse_response": { throws: "response templates are not supported" },
};
