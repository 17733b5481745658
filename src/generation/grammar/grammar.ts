// Grammars over bytes, as immutable nodes. Equal nodes of one grammar are one object, so that they can be compared by id.

/** Texts of a kind that is easier told by a function than by a grammar: numbers within bounds. */
export interface Scanner {
  /** The ASCII characters that a text is made of. */
  readonly alphabet: string;
  /** How many characters the text needs to be whole: 0 where it is, infinitely many where it cannot become so. */
  distance(text: string): number;
}

/** A node that is made when it is met: those of large automata. */
export interface Made {
  expand(): Node;
  /** How many bytes it needs at least. */
  distance(): number;
}

export type Shape =
  | { kind: "empty" }
  /** One byte of a set. */
  | { kind: "byte"; set: ReadonlySet<number> }
  | { kind: "pair"; first: Node; second: Node }
  | { kind: "either"; options: readonly Node[] }
  | { kind: "repeat"; item: Node; min: number; max: number }
  /** A rule by name, for grammars that contain themselves. */
  | { kind: "rule"; rule: { node?: Node } }
  | { kind: "scan"; scanner: Scanner; text: string }
  /** What is made when it is met. */
  | { kind: "lazy"; made: Made };

export interface Node {
  readonly id: number;
  readonly shape: Shape;
}

const encoder = new TextEncoder();

/** Makes the nodes of one grammar. */
export class Grammar {
  readonly #nodes = new Map<string, Node>();
  readonly #scanners = new Map<Scanner, number>();
  readonly #owners = new Map<object, number>();
  readonly empty: Node = this.#node("empty", { kind: "empty" });
  #rules = 0;

  get nodes(): Iterable<Node> {
    return this.#nodes.values();
  }

  byte(bytes: Iterable<number>): Node {
    const set = new Set(bytes);
    return this.#node(`byte ${[...set].sort((a, b) => a - b)}`, { kind: "byte", set });
  }

  /** The bytes from `first` to `last`. */
  range(first: number, last: number): Node {
    return this.byte(Array.from({ length: last - first + 1 }, (_, i) => first + i));
  }

  text(text: string): Node {
    return this.sequence(...Array.from(encoder.encode(text), (byte) => this.byte([byte])));
  }

  sequence(...items: readonly Node[]): Node {
    const parts = items.filter((item) => item !== this.empty);
    if (parts.length === 0) return this.empty;
    return parts.reduceRight((second, first) =>
      this.#node(`pair ${first.id} ${second.id}`, { kind: "pair", first, second }),
    );
  }

  either(...options: readonly Node[]): Node {
    const own = [...new Set(options)];
    if (own.length === 1) return own[0];
    return this.#node(`either ${own.map(({ id }) => id)}`, { kind: "either", options: own });
  }

  optional(item: Node): Node {
    return this.either(this.empty, item);
  }

  repeat(item: Node, min = 0, max = Number.POSITIVE_INFINITY): Node {
    if (max === 0 || item === this.empty) return this.empty;
    if (min === 1 && max === 1) return item;
    return this.#node(`repeat ${item.id} ${min} ${max}`, { kind: "repeat", item, min, max });
  }

  /** A rule that may be used before it is defined: set its `node`. */
  rule(): { node: Node; define: (node: Node) => void } {
    const rule: { node?: Node } = {};
    const node = this.#node(`rule ${this.#rules++}`, { kind: "rule", rule });
    return {
      node,
      define: (target) => {
        rule.node = target;
      },
    };
  }

  scan(scanner: Scanner, text = ""): Node {
    const number = this.#scanners.get(scanner) ?? this.#scanners.size;
    this.#scanners.set(scanner, number);
    return this.#node(`scan ${number} ${text}`, { kind: "scan", scanner, text });
  }

  /** A node that its owner makes when it is met. @param id the owner's name for it */
  lazy(owner: object, id: number, made: Made): Node {
    const number = this.#owners.get(owner) ?? this.#owners.size;
    this.#owners.set(owner, number);
    return this.#node(`lazy ${number} ${id}`, { kind: "lazy", made });
  }

  #node(key: string, shape: Shape): Node {
    const found = this.#nodes.get(key);
    if (found) return found;
    const node = { id: this.#nodes.size, shape };
    this.#nodes.set(key, node);
    return node;
  }
}
