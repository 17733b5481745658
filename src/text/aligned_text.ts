/**
 * Text on its way through normalisers and pre-tokenisers, which never forgets where it came from: each UTF-16
 * unit of `text` carries the span of the source (UTF-16 units, end exclusive) that it stands for. Offsets of
 * tokens are read from it.
 */
export class AlignedText {
  readonly text: string;
  readonly starts: Int32Array;
  readonly ends: Int32Array;

  constructor(text: string, starts: Int32Array, ends: Int32Array) {
    this.text = text;
    this.starts = starts;
    this.ends = ends;
  }

  /** The part `[from, to)` of a source, as it stands. Both halves of a surrogate pair stand for the pair. */
  static of(source: string, from = 0, to = source.length): AlignedText {
    const [starts, ends] = [new Int32Array(to - from), new Int32Array(to - from)];
    for (let at = from; at < to; ) {
      const next = at + charSize(source, at);
      starts.fill(at, at - from, next - from);
      ends.fill(next, at - from, next - from);
      at = next;
    }
    return new AlignedText(source.slice(from, to), starts, ends);
  }

  get length(): number {
    return this.text.length;
  }

  slice(from: number, to: number): AlignedText {
    return new AlignedText(
      this.text.slice(from, to),
      this.starts.subarray(from, to),
      this.ends.subarray(from, to),
    );
  }

  /** Puts `prefix` before the text; it stands for what the first character stands for. Nothing before nothing. */
  prepend(prefix: string): AlignedText {
    if (this.length === 0) return this;
    const builder = new AlignedBuilder();
    builder.add(prefix, this.starts[0], this.ends[0]);
    builder.append(this, 0, this.length);
    return builder.build();
  }

  /** Replaces each match of a global pattern; what is put in stands for the last character of what it replaces. */
  replace(pattern: RegExp, content: string): AlignedText {
    const builder = new AlignedBuilder();
    let last = 0;
    for (const match of this.text.matchAll(pattern)) {
      const end = match.index + match[0].length;
      builder.append(this, last, match.index);
      builder.add(content, end > 0 ? this.starts[end - 1] : 0, end > 0 ? this.ends[end - 1] : 0);
      last = end;
    }
    if (last === 0) return this;
    builder.append(this, last, this.length);
    return builder.build();
  }

  /** Maps each character; all that it becomes stands for what it stood for. */
  mapChars(map: (char: string) => string): AlignedText {
    const builder = new AlignedBuilder();
    for (let at = 0; at < this.length; ) {
      const size = charSize(this.text, at);
      builder.add(map(this.text.slice(at, at + size)), this.starts[at], this.ends[at + size - 1]);
      at += size;
    }
    return builder.build();
  }
}

/** Puts an AlignedText together from left to right. */
export class AlignedBuilder {
  private readonly parts: string[] = [];
  private readonly starts: number[] = [];
  private readonly ends: number[] = [];

  /** Adds text that stands for `[start, end)` of the source. */
  add(text: string, start: number, end: number): void {
    this.parts.push(text);
    for (let i = 0; i < text.length; i++) {
      this.starts.push(start);
      this.ends.push(end);
    }
  }

  /** Adds `[from, to)` of another aligned text. */
  append(other: AlignedText, from: number, to: number): void {
    this.parts.push(other.text.slice(from, to));
    for (let i = from; i < to; i++) {
      this.starts.push(other.starts[i]);
      this.ends.push(other.ends[i]);
    }
  }

  build(): AlignedText {
    return new AlignedText(this.parts.join(""), Int32Array.from(this.starts), Int32Array.from(this.ends));
  }
}

/** UTF-16 units of the character at `at`: 1 or 2. */
export function charSize(text: string, at: number): number {
  return (text.codePointAt(at) as number) > 0xffff ? 2 : 1;
}

/**
 * Turns positions in UTF-16 units into positions in characters (code points), as Python counts them. Without
 * characters outside the basic plane the two are the same and nothing is built.
 */
export function codePointIndex(text: string): (unit: number) => number {
  if (!/[\ud800-\udbff]/.test(text)) return (unit) => unit;
  const index = new Int32Array(text.length + 1);
  let count = 0;
  for (let at = 0; at < text.length; ) {
    const size = charSize(text, at);
    for (let i = 0; i < size; i++) index[at + i] = count;
    at += size;
    count++;
  }
  index[text.length] = count;
  return (unit) => index[unit];
}
