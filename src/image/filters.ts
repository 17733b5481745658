/** A resampling filter: a kernel that is zero beyond `support`. */
export interface Filter {
  readonly support: number;
  kernel(x: number): number;
}

function sinc(x: number): number {
  if (x === 0) return 1;
  const t = x * Math.PI;
  return Math.sin(t) / t;
}

/** Filters by the name that Pillow gives them, with Pillow's kernels. */
export const FILTERS = {
  box: { support: 0.5, kernel: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { support: 1, kernel: (x) => Math.max(0, 1 - Math.abs(x)) },
  hamming: {
    support: 1,
    kernel(x) {
      const t = Math.abs(x);
      if (t === 0) return 1;
      if (t >= 1) return 0;
      return (Math.sin(t * Math.PI) / (t * Math.PI)) * (0.54 + 0.46 * Math.cos(t * Math.PI));
    },
  },
  /** Catmull-Rom: a = -0.5. */
  bicubic: {
    support: 2,
    kernel(x) {
      const t = Math.abs(x);
      if (t < 1) return (1.5 * t - 2.5) * t * t + 1;
      if (t < 2) return (((t - 5) * t + 8) * t - 4) * -0.5;
      return 0;
    },
  },
  lanczos: { support: 3, kernel: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
} satisfies Record<string, Filter>;

export type FilterName = keyof typeof FILTERS;

/** For each output place along one axis: which input places it is made of, and with which weights. */
export interface Windows {
  /** First input place, by output place. */
  readonly starts: Int32Array;
  /** Number of input places, by output place. */
  readonly counts: Int32Array;
  /** Weights that add up to 1, `stride` places an output place. */
  readonly weights: Float64Array;
  readonly stride: number;
}

/**
 * The windows that resize an axis from `input` to `output` places: Pillow's and torch's antialiasing rule, in
 * which the kernel is stretched by the ratio when shrinking.
 */
export function windows(filter: Filter, input: number, output: number): Windows {
  const scale = input / output;
  const stretch = Math.max(1, scale);
  const support = filter.support * stretch;
  const stride = Math.ceil(support) * 2 + 1;
  const starts = new Int32Array(output);
  const counts = new Int32Array(output);
  const weights = new Float64Array(output * stride);
  const shrink = 1 / stretch;
  for (let i = 0; i < output; i++) {
    const centre = (i + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - support + 0.5));
    const count = Math.min(input, Math.trunc(centre + support + 0.5)) - start;
    let sum = 0;
    for (let j = 0; j < count; j++) {
      const weight = filter.kernel((j + start - centre + 0.5) * shrink);
      weights[i * stride + j] = weight;
      sum += weight;
    }
    if (sum !== 0) for (let j = 0; j < count; j++) weights[i * stride + j] /= sum;
    starts[i] = start;
    counts[i] = count;
  }
  return { starts, counts, weights, stride };
}
