import { readFileSync } from "node:fs";
import { beforeAll, expect, test } from "vitest";
import type { Finding } from "../../scripts/compatibility/compare.ts";
import { DOCUMENT, findings, written } from "../../scripts/compatibility/document.ts";
import * as llava from "../../src/index.ts";

/** The largest share of Transformers' names that may throw or be missing. */
const LOST = 0.1;

let found: Finding[];
beforeAll(() => {
  found = findings();
}, 60_000);

test("docs/compatibility.md says what is there (npm run docs:compatibility writes it)", () => {
  expect(readFileSync(DOCUMENT, "utf8")).toBe(written(found));
});

test("at most a tenth of the names throws or is missing", () => {
  const lost = found.filter(({ state }) => state === "throws" || state === "missing");
  expect(found.length).toBeGreaterThan(1500);
  expect(lost.length / found.length).toBeLessThanOrEqual(LOST);
});

type Anything = Record<string, (...args: unknown[]) => unknown>;
const exported = llava as unknown as Record<string, { prototype: Anything } & Anything>;

test("what is said to throw throws UnsupportedError by name", async () => {
  const throwing = found.filter(({ state }) => state === "throws");
  expect(throwing.length).toBeGreaterThan(20);
  for (const { item } of throwing) {
    const { path, owner, kind, member = "", parameter = "" } = item;
    const type = exported[owner];
    const isOption = kind === "parameter" && member === "from_pretrained";
    const call = async (): Promise<unknown> => {
      if (isOption) return type.from_pretrained("llava-demo", { [parameter]: {} });
      const method = type.prototype[member];
      if (kind === "name" || member === "constructor" || owner === "QuantizedCache")
        return new (type as unknown as new (options: object) => unknown)({});
      return method.call(Object.create(type.prototype));
    };
    const error = await call().catch((reason: unknown) => reason);
    expect(error, path).toBeInstanceOf(llava.UnsupportedError);
    const { message, where } = error as llava.UnsupportedError;
    expect(isOption ? where : message, path).toContain(isOption ? parameter : kind === "name" ? owner : "");
  }
});
