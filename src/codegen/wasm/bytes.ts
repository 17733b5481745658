/** A growing buffer for WebAssembly's binary format. */
export class Bytes {
  #bytes = new Uint8Array(256);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** What was written, as a window that is right until more is. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** What was written, a copy. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#bytes.length) return;
    const larger = new Uint8Array(2 * (this.#length + count));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }

  byte(n: number): this {
    this.#reserve(1);
    this.#bytes[this.#length++] = n;
    return this;
  }

  append(bytes: Uint8Array): this {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  /** An unsigned number of up to 32 bits, in seven bits a byte. */
  unsigned(n: number): this {
    let rest = n >>> 0;
    while (rest >= 0x80) {
      this.byte((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    return this.byte(rest);
  }

  /** A signed number of 32 bits, in seven bits a byte. */
  signed(n: number): this {
    let rest = n | 0;
    // Done when what is left is only copies of the sign, which the byte's bit 6 already shows.
    while (rest < -0x40 || rest > 0x3f) {
      this.byte((rest & 0x7f) | 0x80);
      rest >>= 7;
    }
    return this.byte(rest & 0x7f);
  }

  /** 32 bits, least significant byte first. */
  int32(n: number): this {
    return this.byte(n & 255)
      .byte((n >> 8) & 255)
      .byte((n >> 16) & 255)
      .byte((n >> 24) & 255);
  }

  /** Bytes with their number before them. */
  sized(bytes: Uint8Array): this {
    return this.unsigned(bytes.length).append(bytes);
  }

  /** A name of ASCII letters. */
  name(text: string): this {
    this.unsigned(text.length);
    for (let i = 0; i < text.length; i++) this.byte(text.charCodeAt(i));
    return this;
  }
}
