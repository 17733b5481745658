import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { FilterName } from "../../src/image/filters.ts";
import { resizePil } from "../../src/image/resize_pil.ts";
import { resizeTorchvision, type TorchvisionMode } from "../../src/image/resize_torchvision.ts";
import recorded from "../fixtures/image/resize.json" with { type: "json" };
import { noise } from "./noise.ts";

interface Source {
  seed: number;
  planes: number;
  contrast: boolean;
  from: number[];
  to: number[];
}

type Size = readonly [number, number];
const sizeOf = ([height, width]: number[]): Size => [height, width];

function sourceOf({ seed, planes, contrast, from }: Source): Uint8Array {
  const bytes = noise(seed, planes * from[0] * from[1]);
  return contrast ? bytes.map((value) => (value > 127 ? 255 : 0)) : bytes;
}

describe("8-bit pictures are resized bit for bit", () => {
  it.each(recorded.cases)("$backend $filter $from -> $to", (recordedCase) => {
    const { backend, filter, planes } = recordedCase;
    const [source, from, to] = [sourceOf(recordedCase), sizeOf(recordedCase.from), sizeOf(recordedCase.to)];
    const resized =
      backend === "pil"
        ? resizePil(source, planes, from, to, filter as FilterName | "nearest")
        : resizeTorchvision(source, planes, from, to, filter as TorchvisionMode);
    expect([...resized.subarray(0, 12)]).toEqual(recordedCase.first);
    expect(createHash("sha256").update(resized).digest("hex")).toBe(recordedCase.sha256);
  });
});

describe("torchvision's float path", () => {
  it.each(recorded.numbers)("$filter $from -> $to", (recordedCase) => {
    const { planes, step, filter } = recordedCase;
    const [source, from, to] = [sourceOf(recordedCase), sizeOf(recordedCase.from), sizeOf(recordedCase.to)];
    const mode = filter as TorchvisionMode;
    const floats = resizeTorchvision(
      Float32Array.from(source, (x) => x / 255),
      planes,
      from,
      to,
      mode,
    );
    const wholes = resizeTorchvision(
      Int32Array.from(source, (x) => x * 3),
      planes,
      from,
      to,
      mode,
    );
    for (const [i, value] of recordedCase.float32.entries()) {
      expect(Math.abs(floats[i * step] - value)).toBeLessThan(2e-6);
      expect(Math.abs(wholes[i * step] - recordedCase.int32[i])).toBeLessThanOrEqual(1);
    }
    const exact = recordedCase.int32.filter((value, i) => wholes[i * step] === value).length;
    expect(exact / recordedCase.int32.length).toBeGreaterThan(0.99);
  });
});
