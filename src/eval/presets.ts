// The two ways to ask: as the published figures were made, and as the Hugging Face checkpoints are commonly used.

export type PresetName = "original" | "hf";

export interface Preset {
  name: PresetName;
  /** The whole prompt around a message. */
  prompt(message: string): string;
  /** Pad pictures to squares with the mean colour first. */
  pads: boolean;
  /** Tokenise what stands before, between and after the pictures separately. */
  tokenisesPieces: boolean;
}

const SYSTEM =
  "A chat between a curious user and an artificial intelligence assistant. " +
  "The assistant gives helpful, detailed, and polite answers to the user's questions.";

export const PRESETS: Readonly<Record<PresetName, Preset>> = {
  original: {
    name: "original",
    prompt: (message) => `${SYSTEM} USER: ${message} ASSISTANT:`,
    pads: true,
    tokenisesPieces: true,
  },
  hf: {
    name: "hf",
    prompt: (message) => `USER: ${message} ASSISTANT:`,
    pads: false,
    tokenisesPieces: false,
  },
};

/** Where a picture stands in a prompt. */
export const IMAGE_MARK = "<image>";
