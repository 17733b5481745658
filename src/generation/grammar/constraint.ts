import { OptionError } from "../../base/errors.ts";
import type { StoppingTokenizer } from "../token_bytes.ts";
import { Automaton, type State } from "./automaton.ts";
import { Grammar } from "./grammar.ts";
import { schemaGrammar } from "./json_schema.ts";
import type { JSONSchema } from "./schema_keywords.ts";
import { TokenBytes, type TokenTrie } from "./token_trie.ts";

/** Tokens that can follow, and how many bytes are missing after each. */
export interface Followers {
  readonly ids: Int32Array;
  readonly distances: Float64Array;
  readonly farthest: number;
}

/** What a schema may keep: tokens in lists of followers, and states and stacks of its automaton. */
const MOST_FOLLOWERS = 4_000_000;
const MOST_STATES = 100_000;
/** Schemas that are kept, for each tokenizer. */
const KEPT = 16;

/** A schema's automaton over a tokenizer's tokens. */
export class Constraint {
  readonly #tokens: TokenBytes;
  readonly #schema: JSONSchema;
  #automaton: Automaton;
  #short = new WeakMap<State, Followers>();
  #long = new WeakMap<State, Followers>();
  /** Tokens in all lists of followers. */
  #listed = 0;

  /** @throws OptionError where the schema cannot be held, or no value is of it */
  constructor(tokens: TokenBytes, schema: JSONSchema) {
    this.#tokens = tokens;
    this.#schema = schema;
    this.#automaton = automatonOf(schema);
    if (this.#automaton.start.distance < Number.POSITIVE_INFINITY) return;
    throw new OptionError("schema: there is no value that it allows", { where: "schema", got: schema });
  }

  /** The state after an answer's tokens; undefined where they are no beginning of one. Right until the next call. */
  after(answer: readonly number[]): State | undefined {
    this.#forget();
    let state: State | null = this.#automaton.start;
    for (const id of answer) {
      const bytes = this.#tokens.of(id);
      if (!bytes) return undefined;
      for (const byte of bytes) {
        state = state && this.#automaton.step(state, byte);
        if (!state) return undefined;
      }
    }
    return state;
  }

  /** All that can follow, in two lists. */
  followers(state: State): Followers[] {
    const { short, long } = this.#tokens;
    return [this.#listOf(this.#short, short, state), this.#listOf(this.#long, long, state)];
  }

  #listOf(lists: WeakMap<State, Followers>, trie: TokenTrie, state: State): Followers {
    const known = lists.get(state);
    if (known) return known;
    // States that only longer tokens could tell apart have one list.
    const coarse = this.#automaton.coarse(state, trie.longest);
    const followers = lists.get(coarse) ?? this.#list(trie, coarse);
    lists.set(coarse, followers);
    lists.set(state, followers);
    return followers;
  }

  #list({ byte, depth, end, first, ids }: TokenTrie, start: State): Followers {
    const automaton = this.#automaton;
    const found = new Int32Array(ids.length);
    const distances = new Float64Array(ids.length);
    const path: State[] = [start];
    let [count, farthest] = [0, 0];
    for (let node = 0; node < byte.length; ) {
      const after = automaton.step(path[depth[node]], byte[node]);
      if (!after || after.distance === Number.POSITIVE_INFINITY) {
        node = end[node];
        continue;
      }
      for (let i = first[node]; i < first[node + 1]; i++) {
        found[count] = ids[i];
        distances[count++] = after.distance;
        if (after.distance > farthest) farthest = after.distance;
      }
      path[depth[node] + 1] = after;
      node++;
    }
    this.#listed += count;
    return { ids: found.slice(0, count), distances: distances.slice(0, count), farthest };
  }

  /** Begins anew where too much is kept: what comes is made again as it is met. */
  #forget(): void {
    const states = this.#automaton.size > MOST_STATES;
    if (states) this.#automaton = automatonOf(this.#schema);
    if (!states && this.#listed <= MOST_FOLLOWERS) return;
    this.#short = new WeakMap();
    this.#long = new WeakMap();
    this.#listed = 0;
  }
}

function automatonOf(schema: JSONSchema): Automaton {
  const grammar = new Grammar();
  return new Automaton(grammar, schemaGrammar(grammar, schema));
}

const kept = new WeakMap<StoppingTokenizer, { tokens: TokenBytes; constraints: Map<string, Constraint> }>();

/**
 * What holds texts of a tokenizer to a schema. Those that were asked for last are kept.
 *
 * @throws OptionError where the schema cannot be held exactly; UnsupportedError where the tokenizer's tokens are no bytes
 */
export function constraintOf(tokenizer: StoppingTokenizer, schema: JSONSchema): Constraint {
  const own = kept.get(tokenizer) ?? { tokens: new TokenBytes(tokenizer), constraints: new Map() };
  kept.set(tokenizer, own);
  const { tokens, constraints } = own;
  const key = keyOf(schema);
  const constraint = constraints.get(key) ?? new Constraint(tokens, schema);
  constraints.delete(key);
  constraints.set(key, constraint);
  const [oldest] = constraints.keys();
  if (constraints.size > KEPT) constraints.delete(oldest);
  return constraint;
}

/** @throws OptionError where the schema is deeper than the engine can write */
function keyOf(schema: JSONSchema): string {
  try {
    return JSON.stringify(schema);
  } catch {
    throw new OptionError("schema: it is too deep, or contains itself", { where: "schema" });
  }
}
