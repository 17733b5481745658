/*
 * Loads checkpoints and saves them again, for scripts/check_saved.py: model, config and processor.
 *
 *   node --import ./scripts/typescript.mjs scripts/save_all.ts OUT FOLDER...
 */
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { LlavaForConditionalGeneration } from "../src/api/modeling_llava.ts";
import { AutoProcessor } from "../src/models/auto/processing_auto.ts";

const [out, ...checkpoints] = process.argv.slice(2);
for (const checkpoint of checkpoints) {
  const target = join(out, basename(checkpoint));
  const model = await LlavaForConditionalGeneration.from_pretrained(checkpoint);
  await model.save_pretrained(target, { max_shard_size: "60KB" });
  await model.dispose();
  if (!existsSync(join(checkpoint, "tokenizer.json"))) continue;
  const processor = await AutoProcessor.from_pretrained(checkpoint);
  await processor.save_pretrained(target);
}
