import type { Builder } from "../codegen/ir.ts";
import { type Args, rowOf } from "./row_programs.ts";

/** A row of `heads` heads of `dim` numbers, of which the first 2F are turned by the row's angles. */
export function ropeProgram(b: Builder, args: Args, heads: number, dim: number, F: number): void {
  const [cosines, sines] = [rowOf(b, args.cos, b.tile, F), rowOf(b, args.sin, b.tile, F)];
  const x = rowOf(b, args.x, b.tile, heads * dim);
  const y = rowOf(b, args.y, b.tile, heads * dim);
  b.repeat(heads, () => {
    const [cos, sin] = [cosines.copy(), sines.copy()];
    b.elements(
      F,
      (i, lanes) => {
        const [cosine, sine] = [cos.load(4 * i, lanes), sin.load(4 * i, lanes)];
        const [p, q] = [x.load(4 * i, lanes), x.load(4 * (F + i), lanes)];
        y.store(4 * i, b.fnma(q, sine, b.mul(p, cosine)), lanes);
        y.store(4 * (F + i), b.fma(p, sine, b.mul(q, cosine)), lanes);
      },
      (k) => {
        for (const cursor of [x, y, cos, sin]) cursor.advance(4 * k);
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
