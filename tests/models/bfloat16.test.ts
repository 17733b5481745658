import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { LlavaForConditionalGeneration } from "../../src/api/modeling_llava.ts";
import { Expected, folderOf } from "./expected.ts";

const recorded: { errors: Record<string, number> } = JSON.parse(
  await readFile(new URL("../fixtures/models/bfloat16_errors.json", import.meta.url), "utf8"),
);

/** As the script that recorded PyTorch's errors has it. */
function errorOf(got: ArrayLike<number>, exact: ArrayLike<number>, mask: number[][]): number {
  const rows = mask.flat();
  const width = exact.length / rows.length;
  let [differences, squares] = [0, 0];
  for (let i = 0; i < exact.length; i++) {
    if (rows[Math.floor(i / width)] === 0) continue;
    differences += (got[i] - exact[i]) ** 2;
    squares += exact[i] ** 2;
  }
  return Math.sqrt(differences / squares);
}

test.each(Object.entries(recorded.errors))("%s in bfloat16 errs no more than PyTorch", async (name, most) => {
  const expected = await Expected.read(name);
  const model = await LlavaForConditionalGeneration.from_pretrained(folderOf(name), { dtype: "bfloat16" });
  const { input_ids, attention_mask } = expected.facts;
  const { logits } = await model({ input_ids, attention_mask, ...expected.pictures() });
  const exact = expected.tensor("logits");
  expect(logits.shape).toEqual(exact.shape);
  const error = errorOf(logits.data as Float32Array, exact.data as Float32Array, attention_mask);
  expect(error).toBeLessThanOrEqual(most);
  await model.dispose();
});
