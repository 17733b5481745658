import { expect, test } from "vitest";
import { StopStringCriteria } from "../../src/generation/stop_strings.ts";
import { TextIteratorStreamer } from "../../src/generation/streamers.ts";
import { openRepository } from "../../src/hub/open.ts";
import { TokenizersBackend } from "../../src/models/tokenization_utils_tokenizers.ts";
import { Tensor } from "../../src/tensor/tensor.ts";

test("the demo's tokenizer serves streamers and stop strings", async () => {
  const tokenizer = await TokenizersBackend.from_pretrained("llava-demo");
  expect(await (await openRepository("llava-demo")).has("tokenizer.json")).toBe(true);
  const ids = tokenizer.encode("A red apple. A green pear.", { add_special_tokens: false });
  const streamer = new TextIteratorStreamer(tokenizer, { skip_special_tokens: true });
  for (const id of ids) streamer.put(Tensor.fromNested([id]));
  streamer.end();
  let text = "";
  for await (const piece of streamer) text += piece;
  expect(text.trim()).toBe(tokenizer.decode(ids, { skip_special_tokens: true }).trim());

  // The criterion fires with the very token that completes the string in the decoded text.
  const criterion = new StopStringCriteria(tokenizer, ["e.", "reen"]);
  for (let n = 1; n <= ids.length; n++) {
    const [before, now] = [tokenizer.decode(ids.slice(0, n - 1)), tokenizer.decode(ids.slice(0, n))];
    const grown = (part: string): number => part.split("e.").length + part.split("reen").length;
    expect(criterion(Tensor.fromNested([ids.slice(0, n)]))).toEqual([grown(now) > grown(before)]);
  }
});
