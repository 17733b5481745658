const { fround } = Math;

/** The largest number; NaN where there is one, as torch has it. */
export function maximum(values: Float32Array): number {
  let max = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value > max) max = value;
    else if (Number.isNaN(value)) return Number.NaN;
  }
  return max;
}

/** The natural logarithm of the sum of exponentials. */
export function logSumExp(values: Float32Array): number {
  const max = maximum(values);
  if (!Number.isFinite(max)) return max;
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += Math.exp(values[i] - max);
  return max + Math.log(sum);
}

/** Probabilities of scores, float32. */
export function softmax(values: Float32Array): Float32Array {
  const max = maximum(values);
  const out = new Float32Array(values.length);
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    const e = Math.exp(values[i] - max);
    out[i] = e;
    sum += e;
  }
  for (let i = 0; i < values.length; i++) out[i] /= sum;
  return out;
}

/** Logarithms of the probabilities of scores, float32. */
export function logSoftmax(values: Float32Array): Float32Array {
  const out = new Float32Array(values.length);
  const sum = logSumExp(values);
  for (let i = 0; i < values.length; i++) out[i] = values[i] - sum;
  return out;
}

/** How spread the probabilities of scores are: minus the sum of p ln p, as float32. */
export function entropy(values: Float32Array): number {
  const logs = logSoftmax(values);
  let sum = 0;
  for (let i = 0; i < logs.length; i++) {
    if (logs[i] > Number.NEGATIVE_INFINITY) sum -= fround(logs[i] * fround(Math.exp(logs[i])));
  }
  return fround(sum);
}

/** Unsigned numbers that order as the float32 ones do; NaN is the largest, -0 is 0. */
function ordersOf(values: Float32Array): Uint32Array {
  const orders = new Uint32Array(values.slice().buffer);
  for (let i = 0; i < orders.length; i++) {
    const bits = orders[i];
    if (bits === 0x80000000) orders[i] = 0x80000000;
    else orders[i] = bits & 0x80000000 ? ~bits : bits | 0x80000000;
  }
  return orders;
}

/** Elements that a sort key can tell apart beside 32 bits of order. */
const KEYED = 2 ** 20;

/**
 * The places of the `k` largest numbers, largest first; of equal ones, the last place first. That is the order in which
 * a stable ascending sort has them, read from its end. Only those are sorted: the least of them is found by counting.
 */
export function largest(values: Float32Array, k: number): Int32Array {
  const count = Math.min(k, values.length);
  if (count <= 0) return new Int32Array();
  const orders = ordersOf(values);
  const [high, above] = bucketOf(orders, count, (order) => order >>> 16);
  const inHigh = (order: number): number => (order >>> 16 === high ? order & 0xffff : -1);
  const [low, aboveLow] = bucketOf(orders, count - above, inHigh);
  const least = high * 2 ** 16 + low;
  let equals = count - above - aboveLow;
  const places = new Int32Array(count);
  for (let i = orders.length - 1, next = 0; next < count; i--) {
    if (orders[i] > least || (orders[i] === least && equals-- > 0)) places[next++] = i;
  }
  return sortDescending(places, orders);
}

/** The bucket that the count-th largest is in, and how many are in higher ones. Keys below 0 are in none. */
function bucketOf(
  orders: Uint32Array,
  count: number,
  keyOf: (order: number) => number,
): [bucket: number, above: number] {
  const sizes = new Uint32Array(1 << 16);
  for (let i = 0; i < orders.length; i++) {
    const key = keyOf(orders[i]);
    if (key >= 0) sizes[key]++;
  }
  let bucket = sizes.length - 1;
  let above = 0;
  while (above + sizes[bucket] < count) above += sizes[bucket--];
  return [bucket, above];
}

function sortDescending(places: Int32Array, orders: Uint32Array): Int32Array {
  if (orders.length > KEYED) return places.sort((a, b) => orders[b] - orders[a] || b - a);
  const keys = Float64Array.from(places, (place) => orders[place] * KEYED + place).sort();
  return places.map((_, i) => keys[keys.length - 1 - i] % KEYED);
}

/** The k-th largest number; NaN counts as the largest. */
export function kthLargest(values: Float32Array, k: number): number {
  const found = k > 0 && k * 16 <= values.length ? kthByHeap(values, k) : undefined;
  if (found !== undefined) return found;
  const places = largest(values, k);
  return values[places[places.length - 1]];
}

/**
 * The k-th largest at one look at each number: a heap holds the largest so far, the least of them on top. Good for small k.
 *
 * @returns undefined where a number is NaN
 */
function kthByHeap(values: Float32Array, k: number): number | undefined {
  const heap = values.slice(0, k).sort();
  if (Number.isNaN(heap[k - 1])) return undefined;
  for (let i = k; i < values.length; i++) {
    const value = values[i];
    if (value <= heap[0]) continue;
    if (Number.isNaN(value)) return undefined;
    replaceTop(heap, value);
  }
  return heap[0];
}

function replaceTop(heap: Float32Array, value: number): void {
  let hole = 0;
  for (let child = 1; child < heap.length; child = 2 * hole + 1) {
    if (child + 1 < heap.length && heap[child + 1] < heap[child]) child++;
    if (heap[child] >= value) break;
    heap[hole] = heap[child];
    hole = child;
  }
  heap[hole] = value;
}

/**
 * The places of the largest numbers, largest first, as many as `enough` asks for: it is called with each place in turn
 * and returns true to end. Sorts more only when more is asked for.
 */
export function takeLargest(values: Float32Array, enough: (place: number, rank: number) => boolean): void {
  let taken = 0;
  for (let k = 64; taken < values.length; k *= 16) {
    const places = largest(values, k);
    for (; taken < places.length; taken++) if (enough(places[taken], taken)) return;
  }
}
