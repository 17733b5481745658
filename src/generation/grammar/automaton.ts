import type { Grammar, Node, Scanner } from "./grammar.ts";

/** What is still to come: a node, and what follows it. Equal stacks are one object. */
interface Stack {
  id: number;
  node: Node;
  rest: Stack | null;
}

/** Where a text stands in a grammar. */
export interface State {
  /** Whether the text is whole. */
  readonly accepts: boolean;
  /** How many bytes a whole text needs at least. */
  readonly distance: number;
  /** Whether no byte can follow. */
  readonly ends: boolean;
  /** Ways to go on, each with a byte or a scanner at its top. */
  readonly stacks: readonly Stack[];
  /** What was met after it, by the byte. */
  readonly next: (State | null | undefined)[];
}

/**
 * Follows texts through a grammar, byte by byte. States are made when they are met, and kept: the same text before a token
 * costs a look into a map.
 */
export class Automaton {
  readonly start: State;
  readonly #grammar: Grammar;
  readonly #stacks = new Map<string, Stack>();
  readonly #states = new Map<string, State>();
  readonly #distances = new Map<Node, number>();

  /** @param root the grammar's whole text */
  constructor(grammar: Grammar, root: Node) {
    this.#grammar = grammar;
    this.#measure();
    this.start = this.#state([this.#push(root, null)]);
  }

  /** The state after one more byte; null where the byte cannot follow. */
  step(state: State, byte: number): State | null {
    const known = state.next[byte];
    if (known !== undefined) return known;
    const after = state.stacks.flatMap((stack) => this.#consume(stack, byte));
    const next = after.length > 0 ? this.#state(after) : null;
    state.next[byte] = next;
    return next;
  }

  /** How much is kept. */
  get size(): number {
    return this.#states.size + this.#stacks.size;
  }

  /** A state that cannot be told from this one within so many bytes: counts beyond them are left out. */
  coarse(state: State, bytes: number): State {
    const stacks = state.stacks.map((stack) => this.#coarse(stack, bytes));
    if (stacks.every((stack, i) => stack === state.stacks[i])) return state;
    return this.#state(state.accepts ? [...stacks, null] : stacks);
  }

  #coarse(stack: Stack, bytes: number): Stack {
    const { node, rest } = stack;
    const { shape } = node;
    const below = rest && this.#coarse(rest, bytes);
    const far = shape.kind === "repeat" && shape.min === 0 && shape.max > bytes;
    const own = far ? this.#grammar.repeat(shape.item) : node;
    return own === node && below === rest ? stack : this.#push(own, below);
  }

  /** The stacks after a byte; `null` is the end of the text. */
  #consume({ node, rest }: Stack, byte: number): (Stack | null)[] {
    const { shape } = node;
    if (shape.kind === "byte") return shape.set.has(byte) ? [rest] : [];
    if (shape.kind !== "scan") return [];
    const { scanner, text } = shape;
    const longer = text + String.fromCharCode(byte);
    return goesOn(scanner, longer) ? [this.#push(this.#grammar.scan(scanner, longer), rest)] : [];
  }

  #state(stacks: readonly (Stack | null)[]): State {
    const ready = new Map<number, Stack>();
    const seen = new Set<number>();
    let accepts = false;
    const waiting = [...stacks];
    while (waiting.length > 0) {
      const stack = waiting.pop() ?? null;
      if (stack === null) {
        accepts = true;
        continue;
      }
      if (seen.has(stack.id)) continue;
      seen.add(stack.id);
      if (this.#isReady(stack.node)) ready.set(stack.id, stack);
      waiting.push(...this.#unfold(stack));
    }
    const key = `${[...ready.keys()].sort((a, b) => a - b)} ${accepts}`;
    const found = this.#states.get(key);
    if (found) return found;
    const own = [...ready.values()];
    const distances = own.map((stack) => this.#stackDistance(stack));
    const distance = accepts ? 0 : Math.min(...distances);
    const state = { accepts, distance, ends: own.length === 0, stacks: own, next: new Array(256) };
    this.#states.set(key, state);
    return state;
  }

  #isReady({ shape }: Node): boolean {
    if (shape.kind !== "scan") return shape.kind === "byte";
    return Array.from(shape.scanner.alphabet).some((char) => goesOn(shape.scanner, shape.text + char));
  }

  /** What a stack is without reading a byte. */
  #unfold({ node, rest }: Stack): (Stack | null)[] {
    const { shape } = node;
    switch (shape.kind) {
      case "empty":
        return [rest];
      case "pair":
        return [this.#push(shape.first, this.#push(shape.second, rest))];
      case "either":
        return shape.options.map((option) => this.#push(option, rest));
      case "rule":
        return shape.rule.node ? [this.#push(shape.rule.node, rest)] : [];
      case "repeat": {
        const { item, min, max } = shape;
        const again = this.#grammar.repeat(item, Math.max(0, min - 1), max - 1);
        const more = this.#push(item, this.#push(again, rest));
        return min === 0 ? [rest, more] : [more];
      }
      case "scan":
        return shape.scanner.distance(shape.text) === 0 ? [rest] : [];
      case "lazy":
        return [this.#push(shape.made.expand(), rest)];
      case "byte":
        return [];
    }
  }

  #push(node: Node, rest: Stack | null): Stack {
    const key = `${node.id} ${rest?.id ?? ""}`;
    const found = this.#stacks.get(key);
    if (found) return found;
    const stack = { id: this.#stacks.size, node, rest };
    this.#stacks.set(key, stack);
    return stack;
  }

  #stackDistance(stack: Stack): number {
    let distance = 0;
    for (let at: Stack | null = stack; at; at = at.rest) distance += this.#distance(at.node);
    return distance;
  }

  /** Nodes that are made later are made of those that were there, and contain themselves through lazy ones only. */
  #distance(node: Node): number {
    const known = this.#distances.get(node);
    if (known !== undefined) return known;
    const distance = this.#least(node);
    this.#distances.set(node, distance);
    return distance;
  }

  /** Rules contain each other: their distances are taken down until none changes. */
  #measure(): void {
    const nodes = [...this.#grammar.nodes];
    for (const node of nodes) this.#distances.set(node, Number.POSITIVE_INFINITY);
    for (let changed = true; changed; ) {
      changed = false;
      for (const node of nodes) {
        const distance = this.#least(node);
        if (distance === this.#distances.get(node)) continue;
        this.#distances.set(node, distance);
        changed = true;
      }
    }
  }

  #least({ shape }: Node): number {
    switch (shape.kind) {
      case "empty":
        return 0;
      case "byte":
        return shape.set.size > 0 ? 1 : Number.POSITIVE_INFINITY;
      case "pair":
        return this.#distance(shape.first) + this.#distance(shape.second);
      case "either":
        return Math.min(...shape.options.map((option) => this.#distance(option)));
      case "rule":
        return shape.rule.node ? this.#distance(shape.rule.node) : Number.POSITIVE_INFINITY;
      case "repeat":
        return shape.min === 0 ? 0 : shape.min * this.#distance(shape.item);
      case "scan":
        return shape.scanner.distance(shape.text);
      case "lazy":
        return shape.made.distance();
    }
  }
}

function goesOn(scanner: Scanner, text: string): boolean {
  return (
    scanner.alphabet.includes(text[text.length - 1]) && scanner.distance(text) < Number.POSITIVE_INFINITY
  );
}
