import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { LlavaForConditionalGeneration } from "../../src/api/modeling_llava.ts";
import { openRepository } from "../../src/hub/open.ts";
import { openWeights } from "../../src/hub/weights.ts";
import { CHECKPOINTS, Expected, expectClose, folderOf } from "./expected.ts";

const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

test.each(CHECKPOINTS)("%s saved and read again: the same names, bytes and answers", async (checkpoint) => {
  const folder = await mkdtemp(join(tmpdir(), "llava-save-"));
  folders.push(folder);
  const model = await LlavaForConditionalGeneration.from_pretrained(folderOf(checkpoint));
  await model.save_pretrained(folder, { max_shard_size: "60KB" });
  const [before, after] = await Promise.all(
    [folderOf(checkpoint), folder].map(async (path) => openWeights(await openRepository(path))),
  );
  const names = before.names().filter((name) => !name.match(/position_ids|inv_freq/));
  expect(after.names().sort()).toEqual(names.sort());
  for (const name of names) {
    expect(after.get(name).dtype).toBe(before.get(name).dtype);
    expect(after.get(name).shape).toEqual(before.get(name).shape);
    expect(Buffer.from(await after.get(name).read()).equals(await before.get(name).read()), name).toBe(true);
  }
  await Promise.all([before.close(), after.close()]);
  const config = JSON.parse(await readFile(join(folder, "config.json"), "utf8"));
  expect(config.architectures).toEqual(["LlavaForConditionalGeneration"]);
  const { torch_dtype } = JSON.parse(await readFile(join(folderOf(checkpoint), "config.json"), "utf8"));
  expect([config.dtype, model.dtype]).toEqual([torch_dtype, torch_dtype]);
  const expected = await Expected.read(checkpoint);
  const { input_ids, attention_mask } = expected.facts;
  const again = await LlavaForConditionalGeneration.from_pretrained(folder);
  const { logits } = await again({ input_ids, attention_mask, ...expected.pictures() });
  expectClose(logits, expected.tensor("logits"), attention_mask);
  await Promise.all([model.dispose(), again.dispose()]);
});
