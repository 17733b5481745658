import { expect, test } from "vitest";
import { CheckpointError } from "../../src/base/errors.ts";
import { parseJson, repeatedKey } from "../../src/hub/json.ts";

// Where Python's json.loads puts the fault: "line 3 column 8" and so on.
test.each([
  ['{\n  "a": 1,\n  "b": oops\n}', "line 3, column 8"],
  ['{"a": 1,}', "line 1, column 9"],
  ["{'a': 1}", "line 1, column 2"],
  ['{"a" 1}', "line 1, column 6"],
  ['{"a": 1} x', "line 1, column 10"],
  ['{"a": "x', "line 1, column 9"],
  ["[1 2]", "line 1, column 4"],
  ["\n\nx", "line 3, column 1"],
  ["[tru]", "line 1, column 5"],
  ["<html>\n<body>", "line 1, column 1"],
])("%j is not JSON at %s", (text, place) => {
  expect(() => parseJson(text, "x.json")).toThrow(CheckpointError);
  expect(() => parseJson(text, "x.json")).toThrow(new RegExp(`^x\\.json: not valid JSON: .* at ${place}$`));
});

test("a text that ends too early says so", () => {
  expect(() => parseJson('{"a": [1,', "x.json")).toThrow(/x\.json: .*end of JSON/);
  expect(() => parseJson(" \n", "x.json")).toThrow(/x\.json: .*empty/);
});

test("infinite numbers are taken as Python writes them, and texts that hold the word are left alone", () => {
  const parsed = parseJson('{"a": Infinity, "b": "Infinity \\" Infinity", "c": [-Infinity]}', "x");
  expect(parsed).toEqual({ a: Infinity, b: 'Infinity " Infinity', c: [-Infinity] });
});

test.each([
  ['{"a": 1, "b": {"a": 1}}', undefined],
  ['{"a": 1, "b": 2, "a": 3}', "a"],
  ['[{"a": 1}, {"a": 1}]', undefined],
  ['{"x": {"b": "}", "c": "b", "b" : 2}}', "b"],
  ['{"a\\"": 1, "a": 2, "\\u0061\\u0022": 3}', 'a"'],
  ['{"__proto__": 1, "__proto__": 2}', "__proto__"],
])("the repeated key of %s is %s", (text, key) => {
  expect(repeatedKey(text)).toBe(key);
});
