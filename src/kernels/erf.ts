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
    polynomial(s, [
      1.85777706184603153e-1, 3.1611237438705656, 1.13864154151050156e2, 3.77485237685302021e2,
      3.20937758913846947e3,
    ]) /
    polynomial(s, [1, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3])
  );
}

/** erfc(z) exp(z²) from 0.46875 to 4. */
function middle(z: number): number {
  return (
    polynomial(z, [
      2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1,
      2.98635138197400131e2, 8.8195222124176909e2, 1.71204761263407058e3, 2.05107837782607147e3,
      1.23033935479799725e3,
    ]) /
    polynomial(z, [
      1, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
      3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3,
    ])
  );
}

/** erfc(z) exp(z²) above 4. */
function large(z: number): number {
  const s = 1 / (z * z);
  const tail =
    (s *
      polynomial(s, [
        1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
        1.60837851487422766e-2, 6.58749161529837803e-4,
      ])) /
    polynomial(s, [
      1, 2.56852019228982242, 1.87295284992346047, 5.27905102951428412e-1, 6.05183413124413191e-2,
      2.33520497626869185e-3,
    ]);
  return (1 / Math.sqrt(Math.PI) - tail) / z;
}

/** Horner's rule, highest power first. */
function polynomial(x: number, coefficients: readonly number[]): number {
  let sum = 0;
  for (const c of coefficients) sum = sum * x + c;
  return sum;
}
