/**
 * The names under which LLaVA's tensors have been published. The module tree has Transformers 5's names; older files
 * have other prefixes. This is the one place that knows them.
 *
 * | written by | text | vision | head |
 * |---|---|---|---|
 * | hub files (v4) | language_model.model.* | vision_tower.vision_model.* | language_model.lm_head.* |
 * | v4.52 to v4.57 | model.language_model.* | model.vision_tower.vision_model.* | lm_head.* |
 * | v5, built anew | language_model.model.* | vision_tower.* | language_model.lm_head.* |
 * | v5, its own names | model.language_model.* | model.vision_tower.* | lm_head.* |
 */
const PREFIXES: readonly (readonly [from: string, to: string])[] = [
  ["language_model.lm_head.", "lm_head."],
  ["language_model.model.", "model.language_model."],
  ["language_model.", "model.language_model."],
  ["vision_tower.", "model.vision_tower."],
  ["multi_modal_projector.", "model.multi_modal_projector."],
];

/** The module tree's name of a tensor of any published layout. */
export function moduleKey(key: string): string {
  const prefix = PREFIXES.find(([from]) => key.startsWith(from));
  const name = prefix ? prefix[1] + key.slice(prefix[0].length) : key;
  return name.replace(/^model\.vision_tower\.vision_model\./, "model.vision_tower.");
}

/** Buffers that old conversions carry. They are computed here. */
export function isBuffer(key: string): boolean {
  return /(^|\.)(position_ids|inv_freq)$/.test(key);
}
