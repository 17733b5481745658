import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { LlavaForConditionalGeneration } from "../../src/api/modeling_llava.ts";
import { Expected, errorOf, folderOf } from "./expected.ts";

const recorded: { errors: Record<string, number> } = JSON.parse(
  await readFile(new URL("../fixtures/models/bfloat16_errors.json", import.meta.url), "utf8"),
);

test.each(Object.entries(recorded.errors))("%s in bfloat16 errs no more than PyTorch", async (name, most) => {
  const expected = await Expected.read(name);
  const model = await LlavaForConditionalGeneration.from_pretrained(folderOf(name), { dtype: "bfloat16" });
  const { input_ids, attention_mask } = expected.facts;
  const { logits } = await model({ input_ids, attention_mask, ...expected.pictures() });
  const exact = expected.tensor("logits");
  expect(logits.shape).toEqual(exact.shape);
  expect(errorOf(logits, exact, attention_mask)).toBeLessThanOrEqual(most);
  await model.dispose();
});
