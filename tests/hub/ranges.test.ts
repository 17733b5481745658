import { expect, test } from "vitest";
import { RangeSet } from "../../src/hub/ranges.ts";

test.each<[[number, number][], [number, number][]]>([
  [[], []],
  [
    [
      [0, 5],
      [5, 9],
    ],
    [[0, 9]],
  ],
  [
    [
      [7, 9],
      [0, 5],
    ],
    [
      [0, 5],
      [7, 9],
    ],
  ],
  [
    [
      [0, 5],
      [7, 9],
      [5, 7],
    ],
    [[0, 9]],
  ],
  [
    [
      [0, 5],
      [2, 3],
      [1, 8],
    ],
    [[0, 8]],
  ],
  [[[3, 3]], []],
])("%j together are %j", (added, expected) => {
  const ranges = new RangeSet();
  for (const [begin, end] of added) ranges.add(begin, end);
  expect(ranges.ranges).toEqual(expected);
  expect(ranges.bytes).toBe(expected.reduce((sum, [begin, end]) => sum + end - begin, 0));
  expect(new RangeSet(added).ranges).toEqual(expected);
});

test.each<[[number, number][], number, [number, number][]]>([
  [
    [],
    10,
    [
      [0, 4],
      [4, 8],
      [8, 10],
    ],
  ],
  [[], 0, []],
  [[[0, 10]], 10, []],
  [
    [
      [2, 3],
      [5, 9],
    ],
    10,
    [
      [0, 2],
      [3, 5],
      [9, 10],
    ],
  ],
  [
    [[0, 1]],
    9,
    [
      [1, 5],
      [5, 9],
    ],
  ],
])("with %j there, %j bytes in pieces of 4 lack %j", (there, size, expected) => {
  expect(new RangeSet(there).missing(size, 4)).toEqual(expected);
});
