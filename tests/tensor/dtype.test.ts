import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import {
  allocate,
  BYTES,
  bfloat16ToNumber,
  type DType,
  float16ToNumber,
  fromFloat32,
  numberToBfloat16,
  numberToFloat16,
  roundHalfEven,
  toFloat32,
  viewBytes,
} from "../../src/tensor/dtype.ts";
import recorded from "../fixtures/tensor/dtypes.json" with { type: "json" };

const HALVES = ["float16", "bfloat16"] as const;
const widen = { float16: float16ToNumber, bfloat16: bfloat16ToNumber };
const round = { float16: numberToFloat16, bfloat16: numberToBfloat16 };
/** Bits of the largest finite number. */
const LARGEST = { float16: 0x7bff, bfloat16: 0x7f7f };

function sha(array: Float32Array | Uint16Array): string {
  const { buffer, byteOffset, byteLength } = array;
  return createHash("sha256")
    .update(new Uint8Array(buffer, byteOffset, byteLength))
    .digest("hex");
}

function bitsOf(array: Float32Array): Uint32Array {
  return new Uint32Array(array.buffer, array.byteOffset, array.length);
}

function fromBits(bits: readonly number[]): Float32Array {
  return new Float32Array(Uint32Array.from(bits).buffer);
}

/** Every number half way between two neighbours of the type, then those just below, then those just above. */
function ties(type: "float16" | "bfloat16"): Float32Array {
  const count = LARGEST[type];
  const numbers = new Float32Array(3 * count);
  for (let i = 0; i < count; i++) numbers[i] = (widen[type](i) + widen[type](i + 1)) / 2;
  const bits = bitsOf(numbers);
  for (let i = 0; i < count; i++) {
    bits[count + i] = bits[i] - 1;
    bits[2 * count + i] = bits[i] + 1;
  }
  return numbers;
}

describe.each(HALVES)("%s", (type) => {
  test("all 65536 bit patterns are widened as PyTorch does", () => {
    const every = Uint16Array.from({ length: 65536 }, (_, bits) => bits);
    const single = Float32Array.from(every, widen[type]);
    const numbers = toFloat32(type, every);
    for (const widened of [single, numbers]) {
      for (let i = 0; i < widened.length; i++) if (Number.isNaN(widened[i])) bitsOf(widened)[i] = 0x7fc00000;
      expect(sha(widened)).toBe(recorded.widened[type]);
    }
  });

  test("all 65536 bit patterns come back", () => {
    for (let bits = 0; bits < 65536; bits++) {
      const number = widen[type](bits);
      if (Number.isNaN(number)) expect(widen[type](round[type](number))).toBeNaN();
      else if (round[type](number) !== bits) expect.fail(`${bits} becomes ${round[type](number)}`);
    }
  });

  test("numbers to look at are rounded as PyTorch does", () => {
    const { x, bits } = recorded.near[type];
    const numbers = fromBits(x);
    expect(Array.from(numbers, (number) => round[type](number))).toEqual(bits);
  });

  test("every tie and its neighbours are rounded as PyTorch does", () => {
    const positive = [...ties(type), ...fromBits(recorded.near[type].x)];
    const every = Float32Array.from([...positive, ...positive.map((number) => -number)]);
    expect(every.length).toBe(recorded.rounded[type].count);
    expect(sha(every)).toBe(recorded.rounded[type].input);
    expect(sha(fromFloat32(type, every) as Uint16Array)).toBe(recorded.rounded[type].bits);
    expect(sha(Uint16Array.from(every, round[type]))).toBe(recorded.rounded[type].bits);
  });

  test("not a number stays not a number, of whatever bits", () => {
    for (const bits of [0x7fc00000, 0xffc00000, 0x7f800001, 0xffffffff, 0x7f80ffff])
      for (const half of fromFloat32(type, fromBits([bits]))) expect(widen[type](Number(half))).toBeNaN();
  });

  test("float64 becomes what PyTorch makes of it", () => {
    const numbers = new Float64Array(BigUint64Array.from(recorded.double.x, BigInt).buffer);
    const single = toFloat32("float64", numbers);
    expect([...bitsOf(single)]).toEqual(recorded.double.float32);
    expect([...fromFloat32(type, single)]).toEqual(recorded.double[type]);
  });
});

test("halves are rounded to the even neighbour, as Python's round does", () => {
  const pairs = [
    [0.5, 0],
    [1.5, 2],
    [2.5, 2],
    [-0.5, 0],
    [-1.5, -2],
    [-2.5, -2],
    [0.49999999999999994, 0],
    [3.2, 3],
    [-3.7, -4],
  ];
  for (const [value, expected] of pairs) expect(roundHalfEven(value) + 0, `${value}`).toBe(expected);
});

describe("arrays", () => {
  const TYPES = Object.keys(BYTES) as DType[];

  test.each(TYPES)("%s has elements of its size, zero at first, little endian", (dtype) => {
    const data = allocate(dtype, 3);
    expect(data.length).toBe(3);
    expect(data.BYTES_PER_ELEMENT).toBe(BYTES[dtype]);
    expect(Array.from(data, Number)).toEqual([0, 0, 0]);
    const bytes = new Uint8Array(2 * BYTES[dtype]);
    bytes[BYTES[dtype]] = 1;
    const read = viewBytes(dtype, bytes);
    const one = { float64: 5e-324, float32: 1.401298464324817e-45 }[dtype as "float64"] ?? 1;
    expect(Array.from(read, Number)).toEqual([0, one]);
  });

  test("aligned bytes are not copied, others are", () => {
    const bytes = new Uint8Array(24);
    expect(viewBytes("float32", bytes.subarray(4, 12)).buffer).toBe(bytes.buffer);
    const copied = viewBytes("float32", bytes.subarray(5, 13));
    expect(copied.buffer).not.toBe(bytes.buffer);
    expect(copied.length).toBe(2);
    expect(viewBytes("uint8", bytes.subarray(5, 13)).buffer).toBe(bytes.buffer);
  });

  test("whole numbers become float32 and come back", () => {
    const big = BigInt64Array.from([-5n, 0n, 16777217n]);
    expect([...toFloat32("int64", big)]).toEqual([-5, 0, 16777216]);
    expect(fromFloat32("int64", Float32Array.from([-5, 2.9]))).toEqual(BigInt64Array.from([-5n, 2n]));
    expect([...toFloat32("int8", Int8Array.from([-128, 127]))]).toEqual([-128, 127]);
    expect([...toFloat32("bool", Uint8Array.from([0, 1]))]).toEqual([0, 1]);
  });

  test("float32 is given back as it is", () => {
    const data = Float32Array.from([1, 2]);
    expect(toFloat32("float32", data)).toBe(data);
    expect(fromFloat32("float32", data)).toBe(data);
  });
});
