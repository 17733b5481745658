/**
 * The error function, to double precision.
 *
 * Source: W. J. Cody, "Rational Chebyshev approximation for the error function", Math. Comp. 23 (1969).
 */
export function erf(x: number): number {
  const z = Math.abs(x);
  if (Number.isNaN(x)) return Number.NaN;
  if (z <= 0.46875) return x * small(z * z);
  const rest = Math.exp(-z * z) * (z <= 4 ? middle(z) : large(z));
  return Math.sign(x) * (1 - rest);
}

/** erf(z) / z below 0.46875, from z². */
function small(s: number): number {
  return (
    polynomial(
      s,
      [0.18577770618460315, 3.1611237438705655, 113.86415415105016, 377.485237685302, 3209.3775891384694],
    ) / polynomial(s, [1, 23.601290952344122, 244.02463793444417, 1282.6165260773723, 2844.236833439171])
  );
}

/** erfc(z) exp(z²) from 0.46875 to 4. */
function middle(z: number): number {
  return (
    polynomial(
      z,
      [
        2.1531153547440383e-8, 0.5641884969886701, 8.883149794388377, 66.11919063714163, 298.6351381974001,
        881.952221241769, 1712.0476126340707, 2051.0783778260716, 1230.3393547979972,
      ],
    ) /
    polynomial(
      z,
      [
        1, 15.744926110709835, 117.6939508913125, 537.1811018620099, 1621.3895745666903, 3290.7992357334597,
        4362.619090143247, 3439.3676741437216, 1230.3393548037495,
      ],
    )
  );
}

/** erfc(z) exp(z²) above 4. */
function large(z: number): number {
  const s = 1 / (z * z);
  const tail =
    (s *
      polynomial(
        s,
        [
          0.016315387137302097, 0.30532663496123236, 0.36034489994980445, 0.12578172611122926,
          0.016083785148742275, 0.0006587491615298378,
        ],
      )) /
    polynomial(
      s,
      [
        1, 2.568520192289822, 1.8729528499234604, 0.5279051029514285, 0.06051834131244132,
        0.0023352049762686918,
      ],
    );
  return (1 / Math.sqrt(Math.PI) - tail) / z;
}

/** Horner's rule, highest power first. */
function polynomial(x: number, coefficients: readonly number[]): number {
  let sum = 0;
  for (const c of coefficients) sum = sum * x + c;
  return sum;
}
