/**
 * `torch.topk` as it is on the CPU, order of equal numbers included: beams that are not there yet, or tokens that are
 * forced, have equal scores, and which come first decides how a search goes on. torch takes std::partial_sort where k is
 * small and std::nth_element with std::sort else; this is how the GNU library does those.
 */

/** Ranges up to this length are left to the insertion sort. */
const SMALL = 16;

/** The places of the `k` largest numbers, largest first; NaN counts as the largest. */
export function topk(values: Float32Array, k: number): Int32Array {
  const places = Int32Array.from({ length: values.length }, (_, i) => i);
  const queue = new Queue(values, places);
  if (k * 64 <= values.length) queue.partialSort(0, k, values.length);
  else if (k > 0) {
    queue.select(0, k - 1, values.length);
    queue.sort(0, k - 1);
  }
  return places.slice(0, k);
}

/** Places that are ordered by their values. Ranges are [first, last). */
class Queue {
  readonly #values: Float32Array;
  readonly #places: Int32Array;

  constructor(values: Float32Array, places: Int32Array) {
    this.#values = values;
    this.#places = places;
  }

  /** The largest up to `middle`, in order. */
  partialSort(first: number, middle: number, last: number): void {
    this.#heapSelect(first, middle, last);
    for (let end = middle - 1; end > first; end--) this.#popHeap(first, end, end);
  }

  /** The number that belongs at `nth` is there, and larger ones before it. */
  select(first: number, nth: number, last: number): void {
    let [from, to, depth] = [first, last, depthOf(last - first)];
    while (to - from > 3) {
      if (depth-- === 0) {
        this.#heapSelect(from, nth + 1, to);
        this.#swap(from, nth);
        return;
      }
      const cut = this.#partition(from, to);
      if (cut <= nth) from = cut;
      else to = cut;
    }
    this.#insertionSort(from, to);
  }

  sort(first: number, last: number): void {
    this.#sortLoop(first, last, depthOf(last - first));
    const sorted = Math.min(last, first + SMALL);
    this.#insertionSort(first, sorted);
    for (let i = sorted; i < last; i++) this.#insert(i);
  }

  #sortLoop(first: number, last: number, limit: number): void {
    let [to, depth] = [last, limit];
    while (to - first > SMALL) {
      if (depth-- === 0) {
        this.partialSort(first, to, to);
        return;
      }
      const cut = this.#partition(first, to);
      this.#sortLoop(cut, to, depth);
      to = cut;
    }
  }

  /** Whether the place `a` comes before the place `b`. */
  #before(a: number, b: number): boolean {
    const [x, y] = [this.#values[a], this.#values[b]];
    return x > y || (Number.isNaN(x) && !Number.isNaN(y));
  }

  /** As `#before`, of what is at two positions. */
  #ahead(i: number, j: number): boolean {
    return this.#before(this.#places[i], this.#places[j]);
  }

  #swap(i: number, j: number): void {
    const places = this.#places;
    [places[i], places[j]] = [places[j], places[i]];
  }

  #heapSelect(first: number, middle: number, last: number): void {
    const length = middle - first;
    for (let parent = Math.floor(length / 2) - 1; parent >= 0; parent--) {
      this.#adjustHeap(first, parent, length, this.#places[first + parent]);
    }
    for (let i = middle; i < last; i++) if (this.#ahead(i, first)) this.#popHeap(first, middle, i);
  }

  /** Puts the top of a heap to `result`, and what was there into the heap. */
  #popHeap(first: number, last: number, result: number): void {
    const place = this.#places[result];
    this.#places[result] = this.#places[first];
    this.#adjustHeap(first, 0, last - first, place);
  }

  #adjustHeap(first: number, top: number, length: number, place: number): void {
    const places = this.#places;
    let hole = top;
    let child = top;
    while (child < Math.floor((length - 1) / 2)) {
      child = 2 * (child + 1);
      if (this.#ahead(first + child, first + child - 1)) child--;
      places[first + hole] = places[first + child];
      hole = child;
    }
    if (length % 2 === 0 && child === (length - 2) / 2) {
      child = 2 * (child + 1);
      places[first + hole] = places[first + child - 1];
      hole = child - 1;
    }
    let parent = Math.floor((hole - 1) / 2);
    while (hole > top && this.#before(places[first + parent], place)) {
      places[first + hole] = places[first + parent];
      hole = parent;
      parent = Math.floor((hole - 1) / 2);
    }
    places[first + hole] = place;
  }

  /** Divides by the median of three; the second part begins at the position that is returned. */
  #partition(first: number, last: number): number {
    this.#medianToFirst(first, first + 1, first + Math.floor((last - first) / 2), last - 1);
    let [left, right] = [first + 1, last];
    while (true) {
      while (this.#ahead(left, first)) left++;
      right--;
      while (this.#ahead(first, right)) right--;
      if (left >= right) return left;
      this.#swap(left, right);
      left++;
    }
  }

  #medianToFirst(first: number, a: number, b: number, c: number): void {
    if (this.#ahead(a, b)) {
      if (this.#ahead(b, c)) this.#swap(first, b);
      else this.#swap(first, this.#ahead(a, c) ? c : a);
    } else if (this.#ahead(a, c)) this.#swap(first, a);
    else this.#swap(first, this.#ahead(b, c) ? c : b);
  }

  #insertionSort(first: number, last: number): void {
    for (let i = first + 1; i < last; i++) {
      if (this.#ahead(i, first)) {
        const place = this.#places[i];
        this.#places.copyWithin(first + 1, first, i);
        this.#places[first] = place;
      } else this.#insert(i);
    }
  }

  /** Moves what is at a position to where it belongs; something before it does not come after it. */
  #insert(i: number): void {
    const places = this.#places;
    const place = places[i];
    let at = i;
    while (this.#before(place, places[at - 1])) {
      places[at] = places[at - 1];
      at--;
    }
    places[at] = place;
  }
}

/** Twice the logarithm to base 2, rounded down. */
function depthOf(length: number): number {
  return length === 0 ? 0 : 2 * (31 - Math.clz32(length));
}
