import { UnsupportedError } from "../base/errors.ts";
import { AssistedDecoding } from "./assisted_decoding.ts";
import { BeamDecoding } from "./beam_decoding.ts";
import { Decoding } from "./decoding.ts";
import type { GenerationMode } from "./generation_mode.ts";
import type { GenerationCall, Strategy } from "./strategy.ts";

/** How each mode of Transformers is done here. */
const STRATEGIES: Partial<Record<GenerationMode, (call: GenerationCall) => Strategy>> = {
  greedy_search: (call) => new Decoding(call),
  sample: (call) => new Decoding(call),
  assisted_generation: (call) => new AssistedDecoding(call),
  beam_search: (call) => new BeamDecoding(call),
  beam_sample: (call) => new BeamDecoding(call),
};

/**
 * What makes the strategy of a mode.
 *
 * @throws UnsupportedError for a mode that this version does not have
 */
export function strategyOf(mode: GenerationMode): (call: GenerationCall) => Strategy {
  const make = STRATEGIES[mode];
  if (make) return make;
  throw new UnsupportedError(`generate: ${mode} is not supported yet`, { where: "generate", got: mode });
}
