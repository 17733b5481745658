import { OptionError } from "../../base/errors.ts";
import { checkOptions } from "../../base/options.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { Automaton, type State } from "../grammar/automaton.ts";
import { Grammar } from "../grammar/grammar.ts";
import { schemaGrammar } from "../grammar/json_schema.ts";
import type { JSONSchema } from "../grammar/schema_keywords.ts";
import { TokenTrie, type TrieNode } from "../grammar/token_trie.ts";
import type { StoppingTokenizer } from "../token_bytes.ts";
import { type EosIds, editRows, idList, LogitsProcessor } from "./base.ts";

export interface JSONSchemaOptions {
  tokenizer: StoppingTokenizer;
  /** What the text must be; without: any JSON object. */
  schema?: JSONSchema;
  /** Tokens that end a text. */
  eos_token_id: EosIds;
  /** Tokens of an answer at most: it is led to its end before they are used up. */
  max_new_tokens?: number;
}

/** The tokens that can follow, and how many bytes are missing after each. */
interface Followers {
  ids: readonly number[];
  distances: readonly number[];
  farthest: number;
}

/**
 * Lets an answer be nothing but JSON that a schema allows, and ends it there. Our own.
 *
 * The answer is what comes after the tokens of the first call; so a processor serves one call of `generate`.
 */
export class JSONSchemaLogitsProcessor extends LogitsProcessor {
  readonly #constraint: Constraint;
  readonly #eos: readonly number[];
  readonly #budget: number;
  #promptLength: number | undefined;

  /** @throws OptionError where the schema cannot be held exactly; UnsupportedError where the tokenizer's tokens are no bytes */
  constructor(options: JSONSchemaOptions) {
    super();
    checkOptions("JSONSchemaLogitsProcessor", options, [
      "tokenizer",
      "schema",
      "eos_token_id",
      "max_new_tokens",
    ]);
    const { tokenizer, schema = { type: "object" }, eos_token_id, max_new_tokens } = options;
    this.#constraint = constraintOf(tokenizer, schema);
    this.#eos = idList(eos_token_id);
    this.#budget = max_new_tokens ?? Number.POSITIVE_INFINITY;
  }

  override __call__(input_ids: Tensor, scores: Tensor): Tensor {
    this.#promptLength ??= input_ids.shape[1];
    const prompt = this.#promptLength;
    return editRows("JSONSchemaLogitsProcessor", input_ids, scores, (row, ids) => {
      const answer = Array.from(ids).slice(prompt);
      const state = this.#constraint.after(answer);
      // A row that has ended, or that was begun by somebody else.
      if (!state) return;
      const allowed = this.#allowed(state, this.#budget - answer.length);
      const kept = allowed.map((id) => row[id]);
      row.fill(Number.NEGATIVE_INFINITY);
      for (const [i, id] of allowed.entries()) row[id] = kept[i];
    });
  }

  /** @param left tokens that the answer may still have, the one that ends it included */
  #allowed(state: State, left: number): number[] {
    const { ids, distances, farthest } = this.#constraint.followers(state);
    const end = state.accepts ? this.#eos : [];
    if (farthest + 2 <= left) return [...ids, ...end];
    const within = ids.filter((_, i) => distances[i] + 2 <= left);
    if (within.length + end.length > 0) return [...within, ...end];
    // There is not enough room: as near to the end as can be.
    const nearest = Math.min(...distances);
    return ids.filter((_, i) => distances[i] === nearest);
  }
}

/** A schema's automaton over a tokenizer's tokens. */
class Constraint {
  readonly #automaton: Automaton;
  readonly #trie: TokenTrie;
  readonly #followers = new WeakMap<State, Followers>();

  constructor(trie: TokenTrie, schema: JSONSchema) {
    const grammar = new Grammar();
    this.#trie = trie;
    this.#automaton = new Automaton(grammar, schemaGrammar(grammar, schema));
    if (this.#automaton.start.distance < Number.POSITIVE_INFINITY) return;
    throw new OptionError("schema: there is no value that it allows", { where: "schema", got: schema });
  }

  /** The state after an answer's tokens; undefined where they are no beginning of one. */
  after(answer: readonly number[]): State | undefined {
    let state: State | null = this.#automaton.start;
    for (const id of answer) {
      const bytes = this.#trie.bytes(id);
      if (!bytes) return undefined;
      for (const byte of bytes) {
        state = state && this.#automaton.step(state, byte);
        if (!state) return undefined;
      }
    }
    return state;
  }

  followers(state: State): Followers {
    const known = this.#followers.get(state);
    if (known) return known;
    const ids: number[] = [];
    const distances: number[] = [];
    const walk = (node: TrieNode, at: State): void => {
      for (const [byte, next] of node.next) {
        const after = this.#automaton.step(at, byte);
        if (!after || after.distance === Number.POSITIVE_INFINITY) continue;
        for (const id of next.ids) {
          ids.push(id);
          distances.push(after.distance);
        }
        walk(next, after);
      }
    };
    walk(this.#trie.root, state);
    const followers = { ids, distances, farthest: distances.reduce((a, b) => Math.max(a, b), 0) };
    this.#followers.set(state, followers);
    return followers;
  }
}

/** Schemas whose automata are kept, for each tokenizer. */
const KEPT = 16;

const tries = new WeakMap<StoppingTokenizer, { trie: TokenTrie; constraints: Map<string, Constraint> }>();

function constraintOf(tokenizer: StoppingTokenizer, schema: JSONSchema): Constraint {
  const own = tries.get(tokenizer) ?? { trie: new TokenTrie(tokenizer), constraints: new Map() };
  tries.set(tokenizer, own);
  const { trie, constraints } = own;
  const key = JSON.stringify(schema);
  const constraint = constraints.get(key) ?? new Constraint(trie, schema);
  constraints.delete(key);
  constraints.set(key, constraint);
  const [oldest] = constraints.keys();
  if (constraints.size > KEPT) constraints.delete(oldest);
  return constraint;
}
