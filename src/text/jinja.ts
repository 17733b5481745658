import * as jinja from "@huggingface/jinja";

/** A node of a parsed template. */
export interface Node {
  readonly type: string;
}

/** A value while a template runs. */
export interface RuntimeValue {
  readonly type: string;
  readonly value: unknown;
  toString(): string;
}

/** The variables of a template, over those of `parent`. */
export interface Environment {
  /** Declares a variable, given as a plain JavaScript value. @returns it as a value of the runtime */
  set(name: string, value: unknown): RuntimeValue;
}

interface Token {
  readonly type: string;
}

/** A parsed loop. */
export interface ForNode extends Node {
  readonly body: readonly Node[];
  /** What `else` has. */
  readonly defaultBlock: readonly Node[];
}

/** Runs a parsed template. `evaluate` is called for each node, `evaluateBlock` for each list of them. */
export interface Interpreter {
  run(program: Node): RuntimeValue;
  evaluate(node: Node | undefined, environment: Environment): RuntimeValue;
  evaluateBlock(statements: readonly Node[], environment: Environment): RuntimeValue;
  evaluateFor(node: ForNode, environment: Environment): RuntimeValue;
}

/** The parts of the library that are used here. As in `library.ts`, its own declarations cannot be followed. */
interface Jinja {
  tokenize(template: string, options: { lstrip_blocks: boolean; trim_blocks: boolean }): Token[];
  parse(tokens: Token[]): Node;
  readonly Environment: new (parent?: Environment) => Environment;
  readonly Interpreter: new (environment: Environment) => Interpreter;
}

export const { tokenize, parse, Environment, Interpreter } = jinja as unknown as Jinja;
