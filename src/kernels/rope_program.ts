import type { Builder } from "../codegen/ir.ts";
import { polynomial } from "../codegen/math.ts";
import type { Vec } from "../codegen/vector.ts";
import { type Args, rowOf } from "./row_programs.ts";

/** pi / 2 in three parts, each with so few bits that its multiples by up to 2^15 are exact. */
const HALF_PI = [1.5703125, 0.0004837512969970703, 7.549790126404332e-8] as const;
/** (sin f - f) / f³ and (cos f - 1 + f²/2) / f⁴ for |f| <= pi / 4, in powers of f². */
const SINE = [-1.6666654611e-1, 8.3321608736e-3, -1.9515295891e-4] as const;
const COSINE = [4.166664568298827e-2, -1.388731625493765e-3, 2.443315711809948e-5] as const;

/** Sine and cosine of angles from 0 to about 50,000, to about 1e-7. */
export function sineCosine(b: Builder, angle: Vec<"f32">): { sine: Vec<"f32">; cosine: Vec<"f32"> } {
  const turns = b.round(b.mul(angle, b.f32(2 / Math.PI)));
  let f: Vec<"f32"> = angle;
  for (const part of HALF_PI) f = b.fnma(turns, b.f32(part), f);
  const square = b.mul(f, f);
  const sine = b.fma(b.mul(square, f), polynomial(b, square, SINE), f);
  const fourth = b.mul(square, square);
  const cosine = b.fma(fourth, polynomial(b, square, COSINE), b.fnma(square, b.f32(0.5), b.f32(1)));
  // Quadrants 1 and 3 exchange the two; 2 and 3 turn the sine's sign, 1 and 2 the cosine's.
  const quadrant = b.toI32(turns);
  const odd = b.equal(b.and(quadrant, b.i32(1)), b.i32(1));
  const signOf = (n: Vec<"i32">): Vec<"f32"> => b.as("f32", b.shl(b.and(n, b.i32(2)), 30));
  return {
    sine: b.xor(b.select(odd, cosine, sine), signOf(quadrant)),
    cosine: b.xor(b.select(odd, sine, cosine), signOf(b.add(quadrant, b.i32(1)))),
  };
}

/** A row of `heads` heads of `dim` numbers, of which the first 2F are turned by the row's position. */
export function ropeProgram(
  b: Builder,
  args: Args,
  heads: number,
  dim: number,
  F: number,
  scaling: number,
): void {
  const position = b.toF32(b.acc(b.cursor(args.positions, b.tile.times(4)).broadcastI32()));
  const at = b.acc(position);
  const inverse = b.cursor(args.inv_freq);
  const table = b.scratch();
  // Cosines and sines of the row, once for all heads.
  b.elements(
    F,
    (i, lanes) => {
      const { sine, cosine } = sineCosine(b, b.mul(at, inverse.load(4 * i, lanes)));
      table.store(4 * i, b.mul(cosine, b.f32(scaling)), lanes);
      table.store(4 * (F + i), b.mul(sine, b.f32(scaling)), lanes);
    },
    (k) => {
      inverse.advance(4 * k);
      table.advance(4 * k);
    },
  );
  const x = rowOf(b, args.x, b.tile, heads * dim);
  const y = rowOf(b, args.y, b.tile, heads * dim);
  b.repeat(heads, () => {
    const turn = b.scratch();
    b.elements(
      F,
      (i, lanes) => {
        const [cosine, sine] = [turn.load(4 * i, lanes), turn.load(4 * (F + i), lanes)];
        const [p, q] = [x.load(4 * i, lanes), x.load(4 * (F + i), lanes)];
        y.store(4 * i, b.fnma(q, sine, b.mul(p, cosine)), lanes);
        y.store(4 * (F + i), b.fma(p, sine, b.mul(q, cosine)), lanes);
      },
      (k) => {
        for (const cursor of [x, y, turn]) cursor.advance(4 * k);
      },
    );
    for (const cursor of [x, y]) cursor.advance(4 * F);
    b.elements(
      dim - 2 * F,
      (i, lanes) => y.store(4 * i, x.load(4 * i, lanes), lanes),
      (k) => {
        for (const cursor of [x, y]) cursor.advance(4 * k);
      },
    );
  });
}
