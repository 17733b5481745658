/**
 * The generator that torch has on the CPU (the 32-bit Mersenne twister), with the two uses that watermarks make of it.
 * Marks are then where Transformers puts them, and its detector finds them.
 */
export class TorchRandom {
  readonly #state = new Uint32Array(624);
  #next = 624;

  /** @param seed only its lowest 32 bits count */
  constructor(seed: number | bigint = 0) {
    this.manual_seed(seed);
  }

  manual_seed(seed: number | bigint): void {
    const state = this.#state;
    state[0] = Number(BigInt.asUintN(32, BigInt(seed)));
    for (let i = 1; i < 624; i++) {
      const mixed = state[i - 1] ^ (state[i - 1] >>> 30);
      state[i] = Math.imul(mixed, 1812433253) + i;
    }
    this.#next = 624;
  }

  /** 32 random bits. */
  random(): number {
    if (this.#next === 624) this.#twist();
    let y = this.#state[this.#next++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    y ^= y >>> 18;
    return y >>> 0;
  }

  /** The first `count` numbers of `torch.randperm(n)`. */
  permutation(n: number, count = n): Int32Array {
    const numbers = Int32Array.from({ length: n }, (_, i) => i);
    for (let i = 0; i < Math.min(count, n - 1); i++) {
      const j = i + (this.random() % (n - i));
      [numbers[i], numbers[j]] = [numbers[j], numbers[i]];
    }
    return numbers.subarray(0, count);
  }

  #twist(): void {
    const state = this.#state;
    for (let i = 0; i < 624; i++) {
      const y = (state[i] & 0x80000000) | (state[(i + 1) % 624] & 0x7fffffff);
      state[i] = state[(i + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.#next = 0;
  }
}
