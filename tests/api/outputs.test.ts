import { expect, test } from "vitest";
import { LlavaCausalLMOutputWithPast, LlavaModelOutputWithPast } from "../../src/api/outputs.ts";
import { GenerateDecoderOnlyOutput } from "../../src/generation/generation_output.ts";
import { Tensor } from "../../src/tensor/tensor.ts";

const number = (value: number) => new Tensor("float32", [1], [value]);
const [loss, logits, state, weights, picture] = [1, 2, 3, 4, 5].map(number);

test("an output holds what was asked for, in Transformers' order", () => {
  const output = new LlavaCausalLMOutputWithPast({
    image_hidden_states: picture,
    attentions: [weights],
    hidden_states: [state],
    logits,
    loss,
  });
  const names = ["loss", "logits", "hidden_states", "attentions", "image_hidden_states"];
  expect(output.keys()).toEqual(names);
  expect(output.to_tuple()).toEqual([loss, logits, [state], [weights], picture]);
  expect(output.values()).toEqual(output.to_tuple());
  expect(output.items()).toEqual(names.map((name, i) => [name, output.to_tuple()[i]]));
});

test("get gives a field, or what is said to take its place", () => {
  const output = new LlavaModelOutputWithPast({ last_hidden_state: state });
  expect(output.get("last_hidden_state")).toBe(state);
  expect(output.get("attentions")).toBeUndefined();
  expect(output.get("attentions", null)).toBeNull();
  expect(output.get("to_tuple", 3)).toBe(3);
  expect(output.keys()).toEqual(["last_hidden_state"]);
});

test("what generate gives is such an output, too", () => {
  const sequences = new Tensor("int32", [1, 2], [5, 7]);
  const output = new GenerateDecoderOnlyOutput({ logits: [logits], sequences });
  expect(output.keys()).toEqual(["sequences", "logits"]);
  expect(output.to_tuple()).toEqual([sequences, [logits]]);
});
