// Texts and numbers as Python, pandas and the original's functions treat them (recorded by scripts/fixtures/eval.py).

import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { BenchmarkError } from "../../src/eval/errors.ts";
import { inferLetter } from "../../src/eval/letters.ts";
import { modelId, stem } from "../../src/eval/names.ts";
import { normalise, normaliseVqa } from "../../src/eval/normalise.ts";
import { dumps, loads } from "../../src/eval/python/json.ts";
import {
  fixed,
  numpyRound,
  numpyStd,
  numpySum,
  parseFloatText,
  parseIntText,
  repr,
  round,
} from "../../src/eval/python/numbers.ts";
import { compareText, words } from "../../src/eval/python/text.ts";
import { Table } from "../../src/eval/tsv.ts";

const folder = new URL("../fixtures/eval/", import.meta.url);
const recorded = JSON.parse(await readFile(new URL("python.json", folder), "utf8"));
const given = JSON.parse(await readFile(new URL("examples/normalise/expected.json", folder), "utf8"));
const tables = JSON.parse(await readFile(new URL("examples/normalise/tables.json", folder), "utf8"));

/** A float as Python's repr gives it. */
const number = (text: string) => Number(text.replace("inf", "Infinity"));

describe("the normaliser", () => {
  test("texts", () => {
    const texts: [string, string][] = [
      ...recorded.normalise,
      ...given.cases.map((one: { in: string; out: string }) => [one.in, one.out]),
    ];
    expect(texts.length).toBeGreaterThan(260);
    expect(texts.map(([text]) => [text, normalise(text)])).toEqual(texts);
  });

  test("every contraction, number and article", () => {
    for (const [word, expanded] of Object.entries<string>(tables.contractions)) {
      // The words of answers are in small letters and have lost their 's.
      const reachable = word === word.toLowerCase() && !word.includes("'s");
      expect(normalise(word)).toBe(reachable ? expanded : word.toLowerCase().replaceAll("'s", " 's"));
      if (word === word.toLowerCase()) expect(normaliseVqa(word)).toBe(expanded);
    }
    for (const [word, digit] of Object.entries(tables.numbers))
      expect(normalise(`x ${word}`)).toBe(`x ${digit}`);
    for (const word of tables.articles) expect(normalise(`${word} x ${word}`)).toBe("x");
    for (const sign of tables.punctuation) {
      expect(normaliseVqa(`a${sign}b`)).toBe("a b".replace(/^a /, ""));
      expect(normaliseVqa(`x${sign}y${sign} z`)).toBe("xy z");
    }
  });

  test("texts for the VQA authors' evaluator", () => {
    const texts: [string, string][] = recorded.vqa;
    expect(texts.map(([text]) => [text, normaliseVqa(text)])).toEqual(texts);
  });
});

test("the letters that replies mean", () => {
  const replies: [string, Record<string, string>, string | null][] = recorded.infer;
  const read = replies.map(([reply, options]) => [
    reply,
    options,
    inferLetter(reply, new Map(Object.entries(options))) ?? null,
  ]);
  expect(read).toEqual(replies);
});

describe("numbers", () => {
  test.each(recorded.numbers.floats as { x: string; fixed: string[]; round: string[]; numpy: string }[])(
    "$x",
    (one) => {
      const x = number(one.x);
      expect(repr(x)).toBe(one.x);
      expect(one.fixed.map((_, digits) => fixed(x, digits))).toEqual(one.fixed);
      expect([1, 2, 3].map((digits) => repr(round(x, digits)))).toEqual(one.round);
      expect(repr(numpyRound(x))).toBe(one.numpy);
    },
  );

  test("what is no number is printed as Python does", () => {
    expect([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY].map(repr)).toEqual([
      "nan",
      "inf",
      "-inf",
    ]);
    expect(fixed(Number.NEGATIVE_INFINITY, 2)).toBe("-inf");
  });

  test.each(recorded.numbers.columns as { values: string[]; sum: string; std: string }[])(
    "NumPy's sum of $values.length",
    ({ values, sum, std }) => {
      expect(repr(numpySum(values.map(number)))).toBe(sum);
      expect(repr(numpyStd(values.map(number)))).toBe(std);
    },
  );

  test("read from texts", () => {
    const floats: [string, string | null][] = recorded.numbers.float_texts;
    const readFloat = (text: string) => {
      const value = parseFloatText(text);
      return value === undefined ? null : repr(value);
    };
    expect(floats.map(([text]) => [text, readFloat(text)])).toEqual(floats);
    const integers: [string, string | null][] = recorded.numbers.int_texts;
    expect(integers.map(([text]) => [text, parseIntText(text)?.toString() ?? null])).toEqual(integers);
  });
});

test.each(recorded.json as [string, string | null, string | null][])("JSON: %j", (text, line, indented) => {
  if (line === null) {
    expect(() => loads(text)).toThrow(BenchmarkError);
  } else {
    expect(dumps(loads(text))).toBe(line);
    expect(dumps(loads(text), 2)).toBe(indented);
  }
});

test("JSON that is too deep is refused, not followed", () => {
  expect(() => loads("[".repeat(100_000))).toThrow(/more than 500 deep/);
});

test.each(recorded.tables as { text: string; columns: string[] | null; rows: (string | null)[][] }[])(
  "table: $text",
  ({ text, columns, rows }) => {
    const read = () => new Table("table.tsv", Buffer.from(text));
    if (columns === null) return expect(read).toThrow(BenchmarkError);
    const table = read();
    expect(table.columns).toEqual(columns);
    const cells = Array.from({ length: table.length }, (_, row) =>
      columns.map((column) => table.cell(row, column)),
    );
    expect(cells).toEqual(rows);
  },
);

test("words and order", () => {
  expect(words("\u001c a\u3000b\ufeff\u0085c ")).toEqual(["a", "b\ufeff", "c"]);
  // U+FFFF stands after U+1F600 in UTF-16, before it in code points.
  expect(["\uffff", "😀", "b", "", "B"].sort(compareText)).toEqual(["", "B", "b", "\uffff", "😀"]);
});

test("names of files and models", () => {
  expect(["a/b.jsonl", "x.y.json", ".jsonl", "..a.b", "plain", "a."].map(stem)).toEqual([
    "b",
    "x.y",
    ".jsonl",
    "..a",
    "plain",
    "a",
  ]);
  expect(["liuhaotian/llava-v1.5-7b", "/out/llava/checkpoint-50/", "x"].map(modelId)).toEqual([
    "llava-v1.5-7b",
    "llava_checkpoint-50",
    "x",
  ]);
});
