import { describe, expect, test, vi } from "vitest";
import { ShapeError } from "../../src/base/errors.ts";
import {
  AsyncTextIteratorStreamer,
  TextIteratorStreamer,
  TextStreamer,
  type TextStreamerOptions,
} from "../../src/generation/streamers.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { recorded } from "./recorded.ts";

interface Recorded {
  pieces: string[];
  streams: { options: TextStreamerOptions; prompt: number[]; ids: number[]; chunks: [string, boolean][] }[];
}
const { pieces, streams } = recorded<Recorded>("streams.json");

const tokenizer = {
  decode: (ids: number[], options: Record<string, unknown> = {}) =>
    ids
      .map((id) => pieces[id])
      .filter((piece) => !options.skip_special_tokens || piece !== "<s>")
      .join(""),
};

class Chunks extends TextStreamer {
  readonly chunks: [string, boolean][] = [];
  override on_finalized_text(text: string, { stream_end = false } = {}): void {
    this.chunks.push([text, stream_end]);
  }
}

function feed(streamer: TextStreamer, prompt: number[], ids: number[]): void {
  streamer.put(Tensor.fromNested([prompt]));
  for (const id of ids) streamer.put(Tensor.fromNested([id]));
  streamer.end();
}

describe("text is cut where Transformers cuts it", () => {
  for (const { options, prompt, ids, chunks } of streams) {
    test(`${JSON.stringify(options)} ${ids.slice(0, 5)}`, () => {
      const streamer = new Chunks(tokenizer, options);
      feed(streamer, prompt, ids);
      expect(streamer.chunks).toEqual(chunks);
      streamer.chunks.length = 0;
      feed(streamer, prompt, ids);
      expect(streamer.chunks).toEqual(chunks);
    });
  }

  test("one row only", () => {
    const two = Tensor.fromNested([[1], [2]]);
    expect(() => new Chunks(tokenizer).put(two)).toThrow(ShapeError);
  });
});

test("TextStreamer prints, with a new line at the end", () => {
  const write = vi.spyOn(process.stdout, "write").mockReturnValue(true);
  feed(new TextStreamer(tokenizer), [0], [5]);
  const printed = write.mock.calls.map(([text]) => text);
  write.mockRestore();
  expect(printed).toEqual(["", "Hello ", "two\n"]);
});

describe("text that is read from", () => {
  const { prompt, ids, options, chunks } = streams[1];

  test("comes as it is made, and ends", async () => {
    for (const Class of [TextIteratorStreamer, AsyncTextIteratorStreamer]) {
      const streamer = new Class(tokenizer, options);
      const making = (async () => {
        streamer.put(Tensor.fromNested([prompt]));
        for (const id of ids) {
          await new Promise((resolve) => setTimeout(resolve));
          streamer.put(Tensor.fromNested([id]));
        }
        streamer.end();
      })();
      const read: string[] = [];
      for await (const text of streamer) read.push(text);
      await making;
      expect(read).toEqual(chunks.map(([text]) => text));
    }
  });

  test("or does not come in time", async () => {
    const streamer = new TextIteratorStreamer(tokenizer, { timeout: 0.01 });
    await expect(streamer.next()).rejects.toMatchObject({ name: "TimeoutError" });
    streamer.put(Tensor.fromNested([[0, 11]]));
    expect(await streamer.next()).toEqual({ done: false, value: "Hello " });
  });

  test("or fails with what the making failed with", async () => {
    const streamer = new TextIteratorStreamer(tokenizer);
    streamer.put(Tensor.fromNested([[0, 11]]));
    const reason = new Error("the power went out");
    const first = streamer.next();
    streamer.fail(reason);
    expect(await first).toEqual({ done: false, value: "Hello " });
    await expect(streamer.next()).rejects.toBe(reason);
  });
});
