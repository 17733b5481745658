import { expect, test } from "vitest";
import { LlavaForConditionalGeneration } from "../../src/api/modeling_llava.ts";
import { CHECKPOINTS, Expected, expectClose, folderOf } from "./expected.ts";

// The other tests of models run on the device that "auto" gives; here the definition itself is held against Transformers.
test.each(CHECKPOINTS)(
  "%s on the reference device: every hidden state, logits, greedy ids",
  async (checkpoint) => {
    const expected = await Expected.read(checkpoint);
    const { input_ids, attention_mask, runs } = expected.facts;
    const model = await LlavaForConditionalGeneration.from_pretrained(folderOf(checkpoint), {
      device: "reference",
    });
    expect(model.device).toBe("reference");
    model.generation_config.eos_token_id = null;
    const inputs = { input_ids, attention_mask, ...expected.pictures() };
    const out = await model({ ...inputs, output_hidden_states: true });
    expectClose(out.logits, expected.tensor("logits"), attention_mask);
    const states = expected.list("hidden_states");
    expect(out.hidden_states?.length).toBe(states.length);
    for (const [i, state] of (out.hidden_states ?? []).entries())
      expectClose(state, states[i], attention_mask);
    const greedy = await model.generate({ ...inputs, max_new_tokens: 12, do_sample: false, pad_token_id: 0 });
    expect(greedy.tolist()).toEqual(runs.greedy);
    await model.dispose();
  },
);
