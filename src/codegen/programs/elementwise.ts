import type { Program } from "../instruction.ts";
import { program } from "../ir.ts";
import { sigmoid, sumLanes } from "../math.ts";
import type { Target } from "../target.ts";

/** Vectors that loops over a row work on at once. */
const UNROLL = 4;

/**
 * y = x / sqrt(mean of x^2 + eps) * weight, row by row. x, y [rows, D], weight [D].
 *
 * Slots: x, weight, y. A tile of work is a row.
 */
export function rmsNorm(target: Target, { D, eps }: { D: number; eps: number }): Program {
  return program("rms_norm", target, ["x", "weight", "y"], (b, args) => {
    const row = b.tile.times(D * 4);
    const x = b.cursor(args.x, row);
    const sums = Array.from({ length: UNROLL }, () => b.accF32(0));
    const read = x.copy();
    b.elements(
      D,
      (i, lanes) => {
        const v = read.load(4 * i, lanes);
        sums[(i / b.lanes) % UNROLL].fma(v, v);
      },
      (k) => read.advance(4 * k),
      UNROLL,
    );
    const squares = sumLanes(b, b.add(b.add(sums[0], sums[1]), b.add(sums[2], sums[3])));
    const scale = b.div(b.f32(1), b.sqrt(b.add(b.div(squares, b.f32(D)), b.f32(eps))));
    const [weight, y] = [b.cursor(args.weight), b.cursor(args.y, row)];
    b.elements(
      D,
      (i, lanes) =>
        y.store(4 * i, b.mul(b.mul(x.load(4 * i, lanes), scale), weight.load(4 * i, lanes)), lanes),
      (k) => {
        for (const cursor of [x, weight, y]) cursor.advance(4 * k);
      },
      UNROLL,
    );
  });
}

/**
 * y = gate * sigmoid(gate) * up, element by element.
 *
 * Slots: gate, up, y. A tile of work is D numbers.
 */
export function siluMul(target: Target, { D }: { D: number }): Program {
  return program("silu_mul", target, ["gate", "up", "y"], (b, args) => {
    const at = b.tile.times(D * 4);
    const [gate, up, y] = [args.gate, args.up, args.y].map((slot) => b.cursor(slot, at));
    b.elements(
      D,
      (i, lanes) => {
        const x = gate.load(4 * i, lanes);
        y.store(4 * i, b.mul(b.mul(x, sigmoid(b, x)), up.load(4 * i, lanes)), lanes);
      },
      (k) => {
        for (const cursor of [gate, up, y]) cursor.advance(4 * k);
      },
      2,
    );
  });
}
