import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Piece } from "../../server/choice.ts";
import { PacedPieces } from "../../server/paced_pieces.ts";

const sent: Piece[] = [];
let pieces: PacedPieces;
const piece = (text: string, id = text.length): Piece => ({
  text,
  logprobs: [{ id, logprob: -id, first: false, top: [] }],
});
const push = (text: string, afterMs: number): void => {
  vi.advanceTimersByTime(afterMs);
  pieces.push(piece(text));
};
const texts = (): string[] => sent.splice(0).map(({ text }) => text);

beforeEach(() => {
  vi.useFakeTimers();
  sent.length = 0;
  pieces = new PacedPieces((one) => sent.push(one));
});
afterEach(() => {
  vi.useRealTimers();
});

test("those that come soon after another go together, with their tokens in order", () => {
  push("The", 0);
  expect(texts()).toEqual(["The"]);
  push(" sun", 1);
  push(" is", 1);
  expect(texts()).toEqual([]);
  pieces.push(piece("", 9));
  push(" red", 2);
  expect(sent).toEqual([
    { text: " sun is red", logprobs: [4, 3, 9, 4].map((id) => piece("", id).logprobs[0]) },
  ]);
});

test("slow ones go at once", () => {
  for (const text of ["a", "b", "c"]) {
    push(text, 10);
    expect(texts()).toEqual([text]);
  }
});

test("none waits for one that does not come, and the last ones go when they are told to", () => {
  push("a", 0);
  push("b", 1);
  vi.advanceTimersByTime(20);
  expect(texts()).toEqual(["a", "b"]);
  push("c", 0);
  push("d", 1);
  pieces.flush();
  expect(texts()).toEqual(["c", "d"]);
  pieces.flush();
  vi.advanceTimersByTime(20);
  expect(texts()).toEqual([]);
  expect(vi.getTimerCount()).toBe(0);
});
