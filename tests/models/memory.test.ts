import { afterEach, expect, test, vi } from "vitest";
import { LlavaForConditionalGeneration } from "../../src/api/modeling_llava.ts";
import { UnsupportedError } from "../../src/base/errors.ts";
import { folderOf } from "./expected.ts";

const memory = vi.hoisted(() => ({ free: undefined as number | undefined }));
vi.mock("../../src/devices/free_memory_node.ts", () => ({ freeMemory: () => memory.free }));
afterEach(() => {
  memory.free = undefined;
});

async function refusal(dtype: "auto" | "float32" | "float16", free: number): Promise<UnsupportedError> {
  memory.free = free;
  const loaded = LlavaForConditionalGeneration.from_pretrained(folderOf("v5-f16"), { dtype });
  const error = await loaded.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof UnsupportedError)) throw new Error(`expected a refusal, got ${error}`);
  return error;
}

/** What the weights of the checkpoint take, and its largest tensor (the embeddings) while it is read. */
async function sizes(): Promise<{ half: number; passing: number }> {
  const model = await LlavaForConditionalGeneration.from_pretrained(folderOf("v5-f16"));
  const half = 2 * model.num_parameters();
  await model.dispose();
  return { half, passing: 2 * 131 * 32 };
}

test("what cannot fit is refused, and a dtype that fits is named", async () => {
  const { half, passing } = await sizes();
  const error = await refusal("float32", half + passing);
  expect(error.got).toBe(2 * half);
  expect(error.expected).toBe(half);
  expect(error.message).toContain(
    `${2 * half} bytes in dtype "float32", and ${half + passing} bytes of memory are free.`,
  );
  expect(error.message).toContain(`They would fit in dtype "float16" (${half} bytes)`);
});

test("one byte decides", async () => {
  const { half, passing } = await sizes();
  memory.free = half + passing;
  const model = await LlavaForConditionalGeneration.from_pretrained(folderOf("v5-f16"));
  await model.dispose();
  expect((await refusal("auto", half + passing - 1)).message).toContain('in dtype "auto"');
});

test("what fits in no dtype says so", async () => {
  expect((await refusal("float16", 1000)).message).toContain("They would fit in no dtype");
});
