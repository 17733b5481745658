import { OptionError } from "../../base/errors.ts";
import { Automaton, type State } from "./automaton.ts";
import type { Grammar, Node } from "./grammar.ts";
import { JsonText } from "./json_text.ts";
import { areApart } from "./schema_apart.ts";
import {
  asList,
  asSchema,
  bounds,
  cannotBeHeld,
  checkKeywords,
  isAnnotation,
  isOfType,
  type JSONSchema,
  type TypeName,
  typesOf,
} from "./schema_keywords.ts";
import { mergeSchemas, textRules } from "./schema_merge.ts";
import { numberOf } from "./schema_numbers.ts";
import { stringOf } from "./schema_strings.ts";

/** Schemas deeper than this, or larger, are refused. */
const DEEPEST = 100;
const LARGEST = 5000;

/**
 * The grammar of the JSON texts that a schema allows. Declared properties come in the schema's order; more than those are
 * written only where nothing is declared.
 *
 * @throws OptionError naming a keyword that is unknown, or that cannot be held exactly
 */
export function schemaGrammar(grammar: Grammar, schema: JSONSchema): Node {
  const json = new JsonText(grammar);
  return grammar.sequence(json.space, new Compiler(json, schema).value(schema, "schema", 0));
}

/** What no value can be: `{ not: {} }`. */
function isNothing(schema: unknown): boolean {
  if (typeof schema !== "object" || schema === null || !("not" in schema)) return false;
  const { not, ...others } = schema;
  return (
    saysNothing(others) && (not === true || (typeof not === "object" && not !== null && saysNothing(not)))
  );
}

/** Whether every value is of a schema. */
function saysNothing(schema: unknown): boolean {
  return typeof schema === "object" && schema !== null && Object.keys(schema).every(isAnnotation);
}

/** Items with a place of their own, and all others; as drafts from 2020 on write them, or those before. */
function itemsOf(schema: JSONSchema, where: string): { prefix: unknown[]; items: unknown } {
  const { items = true, prefixItems, additionalItems } = schema;
  if (Array.isArray(items) && prefixItems === undefined)
    return { prefix: items, items: additionalItems ?? true };
  if (additionalItems !== undefined) throw cannotBeHeld(`${where}.additionalItems`, "where items is no list");
  return { prefix: prefixItems === undefined ? [] : asList(prefixItems, `${where}.prefixItems`), items };
}

/** Whether a node is exactly one text, or this among others. */
function isText(grammar: Grammar, node: Node, text: string): boolean {
  const automaton = new Automaton(grammar, node);
  let state: State | null = automaton.start;
  for (const byte of new TextEncoder().encode(text)) state = state && automaton.step(state, byte);
  return state?.accepts === true;
}

class Compiler {
  readonly #json: JsonText;
  readonly #grammar: Grammar;
  readonly #root: JSONSchema;
  readonly #references = new Map<string, Node>();
  #anything: Node | undefined;
  #count = 0;

  constructor(json: JsonText, root: JSONSchema) {
    this.#json = json;
    this.#grammar = json.grammar;
    this.#root = root;
  }

  value(given: unknown, where: string, depth: number): Node {
    if (given === true) return this.#any();
    if (given === false || isNothing(given)) return this.#grammar.either();
    if (depth > DEEPEST || ++this.#count > LARGEST) {
      throw new OptionError(`${where}: the schema is too ${depth > DEEPEST ? "deep" : "large"}`, { where });
    }
    const schema = asSchema(given, where);
    checkKeywords(schema, where);
    if (schema.allOf !== undefined) return this.#all(schema, where, depth);
    if (schema.$ref !== undefined) return this.#reference(schema, where, depth);
    if ("const" in schema) return this.#enumeration([schema.const], schema, `${where}.const`);
    if (schema.enum !== undefined) {
      return this.#enumeration(asList(schema.enum, `${where}.enum`), schema, `${where}.enum`);
    }
    const several = ["anyOf", "oneOf"].find((keyword) => schema[keyword] !== undefined);
    if (several) return this.#several(several, schema, where, depth);
    const types = typesOf(schema, where);
    if (!types) return this.#any();
    return this.#grammar.either(...types.map((type) => this.#ofType(type, schema, where, depth)));
  }

  #ofType(type: TypeName, schema: JSONSchema, where: string, depth: number): Node {
    const grammar = this.#grammar;
    switch (type) {
      case "null":
        return grammar.text("null");
      case "boolean":
        return grammar.either(grammar.text("true"), grammar.text("false"));
      case "integer":
      case "number":
        return numberOf(grammar, type === "integer", schema, where);
      case "string":
        return stringOf(this.#json, schema, textRules(schema), where);
      case "array":
        return this.#array(schema, where, depth);
      case "object":
        return this.#object(schema, where, depth);
    }
  }

  #array(schema: JSONSchema, where: string, depth: number): Node {
    const grammar = this.#grammar;
    const { comma } = this.#json;
    const [min, max] = bounds(schema, "minItems", "maxItems", where);
    const { prefix, items } = itemsOf(schema, where);
    const first = prefix.map((item, i) => this.value(item, `${where}.prefixItems[${i}]`, depth + 1));
    const open = items !== false;
    const more = open ? this.value(items, `${where}.items`, depth + 1) : grammar.empty;
    const node = (at: number): Node => {
      const item = (value: Node) => (at > 0 ? grammar.sequence(comma, value) : value);
      if (at < first.length && at < max) {
        const rest = grammar.sequence(item(first[at]), node(at + 1));
        return at >= min ? grammar.optional(rest) : rest;
      }
      if (!open || at >= max) return grammar.empty;
      if (at > 0) return grammar.repeat(item(more), Math.max(0, min - at), max - at);
      const rest = grammar.repeat(grammar.sequence(comma, more), Math.max(0, min - 1), max - 1);
      const all = grammar.sequence(more, rest);
      return min === 0 ? grammar.optional(all) : all;
    };
    if (!open && min > first.length) {
      throw new OptionError(`${where}.minItems: there can be ${first.length} items only`, { where });
    }
    return this.#json.enclosed("[", node(0), "]");
  }

  #object(schema: JSONSchema, where: string, depth: number): Node {
    const declared = asSchema(schema.properties ?? {}, `${where}.properties`);
    const required = asList(schema.required ?? [], `${where}.required`).map(String);
    const names = [...new Set([...Object.keys(declared), ...required])];
    const { additionalProperties: others = true } = schema;
    const { propertyNames } = schema;
    if (names.length === 0) return this.#map(others, propertyNames, where, depth);
    const [json, grammar] = [this.#json, this.#grammar];
    const named = propertyNames === undefined ? undefined : this.#names(propertyNames, where, depth);
    const properties = names.map((name) => {
      const own = Object.hasOwn(declared, name);
      const place = own ? `${where}.properties.${name}` : `${where}.additionalProperties`;
      const value = this.value(own ? declared[name] : others, place, depth + 1);
      const allowed = named === undefined || isText(grammar, named, JSON.stringify(name));
      const node = allowed ? json.member(json.one(name), value) : grammar.either();
      return { node, needed: required.includes(name) };
    });
    // From the last one on, since each knows what follows it.
    let [after, begin] = [grammar.empty, grammar.empty];
    for (const { node, needed } of properties.reverse()) {
      const here = grammar.sequence(json.comma, node, after);
      const first = grammar.sequence(node, after);
      begin = needed ? first : grammar.either(first, begin);
      after = needed ? here : grammar.either(here, after);
    }
    return json.enclosed("{", begin, "}");
  }

  /** An object of any names, or of those that a schema allows. */
  #map(values: unknown, names: unknown, where: string, depth: number): Node {
    const [json, grammar] = [this.#json, this.#grammar];
    if (values === false) return json.enclosed("{", grammar.empty, "}");
    const value = this.value(values, `${where}.additionalProperties`, depth + 1);
    const member = json.member(names === undefined ? json.string : this.#names(names, where, depth), value);
    const more = grammar.repeat(grammar.sequence(json.comma, member));
    return json.enclosed("{", grammar.optional(grammar.sequence(member, more)), "}");
  }

  /** The strings that names may be. */
  #names(names: unknown, where: string, depth: number): Node {
    const place = `${where}.propertyNames`;
    return this.value({ type: "string", ...asSchema(names, place) }, place, depth + 1);
  }

  /** What is of several schemas at once. */
  #all(schema: JSONSchema, where: string, depth: number): Node {
    const { allOf, ...beside } = schema;
    const place = `${where}.allOf`;
    const parts = asList(allOf, place);
    if (parts.length === 0) throw new OptionError(`${place}: expected at least one schema`, { where: place });
    const own = [beside, ...parts].filter((part) => part !== true && !saysNothing(part));
    if (own.length === 0) return this.#any();
    if (own.length === 1) return this.value(own[0], own[0] === beside ? where : `${place}[0]`, depth + 1);
    if (own.some((part) => part === false || isNothing(part))) return this.#grammar.either();
    const flat = own.flatMap((part, i) => this.#parts(part, `${place}[${i}]`, depth + 1));
    return this.value(mergeSchemas(flat, where), where, depth + 1);
  }

  /** A part of `allOf` without references and parts of its own. */
  #parts(part: unknown, where: string, depth: number): JSONSchema[] {
    if (depth > DEEPEST) throw new OptionError(`${where}: the schema is too deep`, { where });
    const { allOf, $ref, ...schema } = asSchema(part, where);
    const inside = allOf === undefined ? [] : asList(allOf, `${where}.allOf`);
    const meant = $ref === undefined ? [] : [this.#target(String($ref), `${where}.$ref`)];
    return [schema, ...[...inside, ...meant].flatMap((more) => this.#parts(more, where, depth + 1))];
  }

  #several(keyword: string, schema: JSONSchema, where: string, depth: number): Node {
    const place = `${where}.${keyword}`;
    const options = asList(schema[keyword], place);
    if (options.length === 0)
      throw new OptionError(`${place}: expected at least one schema`, { where: place });
    if (keyword === "oneOf" && !areApart(options)) {
      throw cannotBeHeld(place, "where a value may be of several of them; use anyOf");
    }
    return this.#grammar.either(
      ...options.map((option, i) => this.value(option, `${place}[${i}]`, depth + 1)),
    );
  }

  #enumeration(values: readonly unknown[], schema: JSONSchema, where: string): Node {
    const types = typesOf(schema, where);
    const right = types ? values.filter((value) => types.some((type) => isOfType(value, type))) : values;
    if (right.length > 0) return this.#grammar.either(...right.map((value) => this.#json.one(value)));
    throw new OptionError(`${where}: there is no value that the schema allows`, { where, got: values });
  }

  #reference(schema: JSONSchema, where: string, depth: number): Node {
    const reference = String(schema.$ref);
    const known = this.#references.get(reference);
    if (known) return known;
    const { node, define } = this.#grammar.rule();
    this.#references.set(reference, node);
    define(this.value(this.#target(reference, `${where}.$ref`), reference, depth + 1));
    return node;
  }

  #target(reference: string, where: string): unknown {
    const missing = new OptionError(`${where}: ${reference} is not in the schema`, { where, got: reference });
    if (reference !== "#" && !reference.startsWith("#/")) throw missing;
    const path = reference.split("/").slice(1);
    return path.reduce<unknown>((at, part) => {
      const key = decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
      if (typeof at !== "object" || at === null || !Object.hasOwn(at, key)) throw missing;
      return (at as Record<string, unknown>)[key];
    }, this.#root);
  }

  /** Any JSON value. */
  #any(): Node {
    if (this.#anything) return this.#anything;
    const { node, define } = this.#grammar.rule();
    this.#anything = node;
    const scalars = ["null", "boolean", "number", "string"] as const;
    define(this.#grammar.either(
      ...scalars.map((type) => this.#ofType(type, {}, "", 0)),
      this.#array({}, "", 0),
      this.#map(true, undefined, "", 0),
    ));
    return node;
  }
}
