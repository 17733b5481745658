import type { Grammar, Node } from "./grammar.ts";
import { anyCharacter } from "./json_characters.ts";

/** The pieces of JSON texts, in the usual ways to write them. */
export class JsonText {
  readonly grammar: Grammar;
  /** What may stand between tokens: nothing, a space, or a new line with its indentation. */
  readonly space: Node;
  readonly comma: Node;
  /** One character of a string. */
  readonly character: Node;
  /** Any string. */
  readonly string: Node;

  constructor(grammar: Grammar) {
    this.grammar = grammar;
    const indent = grammar.repeat(grammar.text(" "), 0, 32);
    this.space = grammar.either(
      grammar.empty,
      grammar.text(" "),
      grammar.sequence(grammar.text("\n"), indent),
    );
    this.comma = grammar.sequence(grammar.text(","), this.space);
    this.character = anyCharacter(grammar);
    this.string = this.quoted(grammar.repeat(this.character));
  }

  quoted(inside: Node): Node {
    return this.grammar.sequence(this.grammar.text('"'), inside, this.grammar.text('"'));
  }

  member(name: Node, value: Node): Node {
    return this.grammar.sequence(name, this.grammar.text(":"), this.space, value);
  }

  enclosed(open: string, inside: Node, close: string): Node {
    const { grammar, space } = this;
    return grammar.sequence(grammar.text(open), space, inside, space, grammar.text(close));
  }

  listed(items: readonly Node[]): Node {
    return this.grammar.sequence(...items.flatMap((item, i) => (i > 0 ? [this.comma, item] : [item])));
  }

  /** One value. */
  one(value: unknown): Node {
    if (typeof value !== "object" || value === null) return this.grammar.text(JSON.stringify(value));
    if (Array.isArray(value))
      return this.enclosed("[", this.listed(value.map((item) => this.one(item))), "]");
    const members = Object.entries(value).map(([name, item]) => this.member(this.one(name), this.one(item)));
    return this.enclosed("{", this.listed(members), "}");
  }
}
