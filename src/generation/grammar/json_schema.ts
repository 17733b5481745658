import { OptionError } from "../../base/errors.ts";
import { nearest } from "../../base/options.ts";
import { FORMATS } from "./formats.ts";
import type { Grammar, Node } from "./grammar.ts";
import { anyCharacter } from "./json_text.ts";
import { NumberScanner } from "./number_scanner.ts";
import { patternOf } from "./pattern.ts";

/** A JSON schema, as an object; `true` and `false` stand for everything and nothing within one. */
export type JSONSchema = { readonly [keyword: string]: unknown };

/** Say nothing about which values are right. */
const ANNOTATIONS = [
  ["title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"],
  ["$schema", "$id", "$comment", "$defs", "definitions"],
].flat();

/** Keywords that speak of values of one type only. */
const OF_TYPE = {
  object: ["properties", "required", "additionalProperties", "propertyNames"],
  array: ["items", "prefixItems", "minItems", "maxItems"],
  string: ["minLength", "maxLength", "pattern", "format"],
  integer: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
  boolean: [],
  null: [],
} as const satisfies Record<string, readonly string[]>;

type TypeName = keyof typeof OF_TYPE;

const TYPES = Object.keys(OF_TYPE) as TypeName[];
const COMBINING = ["type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref"];
const KNOWN = [...new Set([...Object.values(OF_TYPE).flat(), ...COMBINING, ...ANNOTATIONS])];

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
  const compiler = new Compiler(grammar, schema);
  const space = compiler.space;
  return grammar.sequence(space, compiler.value(schema, "schema", 0));
}

class Compiler {
  readonly space: Node;
  readonly #grammar: Grammar;
  readonly #root: JSONSchema;
  readonly #references = new Map<string, Node>();
  readonly #comma: Node;
  readonly #string: Node;
  #anything: Node | undefined;
  #count = 0;

  constructor(grammar: Grammar, root: JSONSchema) {
    this.#grammar = grammar;
    this.#root = root;
    const indent = grammar.repeat(grammar.text(" "), 0, 32);
    this.space = grammar.either(
      grammar.empty,
      grammar.text(" "),
      grammar.sequence(grammar.text("\n"), indent),
    );
    this.#comma = grammar.sequence(grammar.text(","), this.space);
    this.#string = this.#quoted(grammar.repeat(anyCharacter(grammar)));
  }

  value(given: unknown, where: string, depth: number): Node {
    if (given === true) return this.#any();
    if (depth > DEEPEST || ++this.#count > LARGEST) {
      throw new OptionError(`${where}: the schema is too ${depth > DEEPEST ? "deep" : "large"}`, { where });
    }
    const schema = asSchema(given, where);
    this.#check(schema, where);
    if (schema.$ref !== undefined) return this.#reference(schema, where, depth);
    if ("const" in schema) return this.#enumeration([schema.const], schema, `${where}.const`);
    if (schema.enum !== undefined) {
      return this.#enumeration(asList(schema.enum, `${where}.enum`), schema, `${where}.enum`);
    }
    const several = ["anyOf", "oneOf", "allOf"].find((keyword) => schema[keyword] !== undefined);
    if (several) return this.#several(several, schema, where, depth);
    const types = typesOf(schema, where);
    if (!types) return this.#any();
    return this.#grammar.either(...types.map((type) => this.#ofType(type, schema, where, depth)));
  }

  #check(schema: JSONSchema, where: string): void {
    const keywords = Object.keys(schema).filter((keyword) => !ANNOTATIONS.includes(keyword));
    const unknown = keywords.find((keyword) => !KNOWN.includes(keyword));
    if (unknown !== undefined) {
      const near = nearest(unknown, KNOWN);
      throw new OptionError(
        `${where}.${unknown}: this keyword cannot be held.${near ? ` Did you mean ${near}?` : ""}`,
        { where: `${where}.${unknown}`, expected: KNOWN, got: unknown },
      );
    }
    const combining = keywords.filter((keyword) => COMBINING.includes(keyword) && keyword !== "type");
    const [first] = combining;
    // Values that are listed need no type beside them.
    const alone = first === "enum" || first === "const" ? ["type", first] : [first];
    const beside = first && keywords.find((keyword) => !alone.includes(keyword));
    if (beside) throw this.#cannot(`${where}.${beside}`, `beside ${first}`);
    const types = typesOf(schema, where);
    const allowed: readonly string[] = (types ?? []).flatMap((type) => OF_TYPE[type]);
    const stray = keywords.find((keyword) => !COMBINING.includes(keyword) && !allowed.includes(keyword));
    if (stray) throw this.#cannot(`${where}.${stray}`, types ? `for type ${types}` : 'without a "type"');
  }

  #cannot(where: string, why: string): OptionError {
    return new OptionError(`${where} cannot be held ${why}`, { where });
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
        return this.#number(type === "integer", schema, where);
      case "string":
        return this.#stringOf(schema, where);
      case "array":
        return this.#array(schema, where, depth);
      case "object":
        return this.#object(schema, where, depth);
    }
  }

  #number(integer: boolean, schema: JSONSchema, where: string): Node {
    const bounds = Object.fromEntries(
      OF_TYPE.number
        .filter((keyword) => schema[keyword] !== undefined)
        .map((keyword) => [keyword, finite(schema[keyword], `${where}.${keyword}`)]),
    );
    if (Object.keys(bounds).length > 0) return this.#grammar.scan(new NumberScanner(bounds, integer));
    const grammar = this.#grammar;
    const digit = grammar.range(0x30, 0x39);
    const sign = grammar.optional(grammar.text("-"));
    const whole = grammar.either(
      grammar.text("0"),
      grammar.sequence(grammar.range(0x31, 0x39), grammar.repeat(digit, 0, 14)),
    );
    if (integer) return grammar.sequence(sign, whole);
    const fraction = grammar.optional(grammar.sequence(grammar.text("."), grammar.repeat(digit, 1, 15)));
    const exponent = grammar.optional(
      grammar.sequence(
        grammar.byte([0x45, 0x65]),
        grammar.optional(grammar.byte([0x2b, 0x2d])),
        grammar.repeat(digit, 1, 2),
      ),
    );
    return grammar.sequence(sign, whole, fraction, exponent);
  }

  #stringOf(schema: JSONSchema, where: string): Node {
    const { pattern, format } = schema;
    const [min, max] = this.#bounds(schema, "minLength", "maxLength", where);
    const counted = min > 0 || max < Number.POSITIVE_INFINITY;
    if (pattern !== undefined || format !== undefined) {
      if (counted) throw this.#cannot(`${where}.minLength`, "beside a pattern or format");
      if (pattern !== undefined && format !== undefined)
        throw this.#cannot(`${where}.format`, "beside a pattern");
      return this.#quoted(patternOf(this.#grammar, patternText(schema, where), `${where}.pattern`));
    }
    if (!counted) return this.#string;
    return this.#quoted(this.#grammar.repeat(anyCharacter(this.#grammar), min, max));
  }

  #array(schema: JSONSchema, where: string, depth: number): Node {
    const grammar = this.#grammar;
    const [min, max] = this.#bounds(schema, "minItems", "maxItems", where);
    const prefix = schema.prefixItems === undefined ? [] : asList(schema.prefixItems, `${where}.prefixItems`);
    const first = prefix.map((item, i) => this.value(item, `${where}.prefixItems[${i}]`, depth + 1));
    const open = schema.items !== false;
    const more = open ? this.value(schema.items ?? true, `${where}.items`, depth + 1) : grammar.empty;
    const node = (at: number): Node => {
      const item = (value: Node) => (at > 0 ? grammar.sequence(this.#comma, value) : value);
      if (at < first.length && at < max) {
        const rest = grammar.sequence(item(first[at]), node(at + 1));
        return at >= min ? grammar.optional(rest) : rest;
      }
      if (!open || at >= max) return grammar.empty;
      if (at > 0) return grammar.repeat(item(more), Math.max(0, min - at), max - at);
      const rest = grammar.repeat(grammar.sequence(this.#comma, more), Math.max(0, min - 1), max - 1);
      const all = grammar.sequence(more, rest);
      return min === 0 ? grammar.optional(all) : all;
    };
    if (!open && min > first.length) {
      throw new OptionError(`${where}.minItems: there can be ${first.length} items only`, { where });
    }
    return this.#enclosed("[", node(0), "]");
  }

  #object(schema: JSONSchema, where: string, depth: number): Node {
    const declared = asSchema(schema.properties ?? {}, `${where}.properties`);
    const required = asList(schema.required ?? [], `${where}.required`).map(String);
    const names = [...new Set([...Object.keys(declared), ...required])];
    const { additionalProperties: others = true } = schema;
    const { propertyNames } = schema;
    if (names.length === 0) return this.#map(others, propertyNames, where, depth);
    if (propertyNames !== undefined)
      throw this.#cannot(`${where}.propertyNames`, "beside names that are given");
    const properties = names.map((name) => {
      const own = Object.hasOwn(declared, name);
      const place = own ? `${where}.properties.${name}` : `${where}.additionalProperties`;
      const value = this.value(own ? declared[name] : others, place, depth + 1);
      return { node: this.#member(this.#one(name), value), needed: required.includes(name) };
    });
    const grammar = this.#grammar;
    // From the last one on, since each knows what follows it.
    let [after, begin] = [grammar.empty, grammar.empty];
    for (const { node, needed } of properties.reverse()) {
      const here = grammar.sequence(this.#comma, node, after);
      const first = grammar.sequence(node, after);
      begin = needed ? first : grammar.either(first, begin);
      after = needed ? here : grammar.either(here, after);
    }
    return this.#enclosed("{", begin, "}");
  }

  /** An object of any names, or of those that a schema allows. */
  #map(values: unknown, names: unknown, where: string, depth: number): Node {
    if (values === false) return this.#enclosed("{", this.#grammar.empty, "}");
    const grammar = this.#grammar;
    const value = this.value(values, `${where}.additionalProperties`, depth + 1);
    const name =
      names === undefined
        ? this.#string
        : this.value(
            { type: "string", ...asSchema(names, `${where}.propertyNames`) },
            `${where}.propertyNames`,
            depth + 1,
          );
    const member = this.#member(name, value);
    const more = grammar.repeat(grammar.sequence(this.#comma, member));
    return this.#enclosed("{", grammar.optional(grammar.sequence(member, more)), "}");
  }

  #member(name: Node, value: Node): Node {
    return this.#grammar.sequence(name, this.#grammar.text(":"), this.space, value);
  }

  #enclosed(open: string, inside: Node, close: string): Node {
    const { text, sequence } = bound(this.#grammar);
    return sequence(text(open), this.space, inside, this.space, text(close));
  }

  #several(keyword: string, schema: JSONSchema, where: string, depth: number): Node {
    const place = `${where}.${keyword}`;
    const options = asList(schema[keyword], place);
    if (options.length === 0)
      throw new OptionError(`${place}: expected at least one schema`, { where: place });
    if (keyword === "allOf" && options.length > 1) throw this.#cannot(place, "with more than one schema");
    if (keyword === "oneOf" && !apart(options)) {
      throw this.#cannot(place, "where a value may be of several of them; use anyOf");
    }
    return this.#grammar.either(
      ...options.map((option, i) => this.value(option, `${place}[${i}]`, depth + 1)),
    );
  }

  #enumeration(values: readonly unknown[], schema: JSONSchema, where: string): Node {
    const types = typesOf(schema, where);
    const right = types ? values.filter((value) => types.some((type) => isOfType(value, type))) : values;
    if (right.length > 0) return this.#grammar.either(...right.map((value) => this.#one(value)));
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

  /** One value. */
  #one(value: unknown): Node {
    if (typeof value !== "object" || value === null) return this.#grammar.text(JSON.stringify(value));
    if (Array.isArray(value))
      return this.#enclosed("[", this.#listed(value.map((item) => this.#one(item))), "]");
    const members = Object.entries(value).map(([name, item]) =>
      this.#member(this.#one(name), this.#one(item)),
    );
    return this.#enclosed("{", this.#listed(members), "}");
  }

  #listed(items: readonly Node[]): Node {
    return this.#grammar.sequence(...items.flatMap((item, i) => (i > 0 ? [this.#comma, item] : [item])));
  }

  #quoted(inside: Node): Node {
    return this.#grammar.sequence(this.#grammar.text('"'), inside, this.#grammar.text('"'));
  }

  #bounds(schema: JSONSchema, least: string, most: string, where: string): [number, number] {
    const [min, max] = [least, most].map((keyword, i) =>
      schema[keyword] === undefined
        ? [0, Number.POSITIVE_INFINITY][i]
        : count(schema[keyword], `${where}.${keyword}`),
    );
    if (min > max)
      throw new OptionError(`${where}.${most} is less than ${least}`, { where: `${where}.${most}` });
    return [min, max];
  }
}

function bound(grammar: Grammar): Pick<Grammar, "text" | "sequence"> {
  return { text: (text) => grammar.text(text), sequence: (...items) => grammar.sequence(...items) };
}

function patternText({ pattern, format }: JSONSchema, where: string): string {
  if (typeof pattern === "string") return pattern;
  if (pattern !== undefined) {
    throw new OptionError(`${where}.pattern: expected a string`, { where: `${where}.pattern`, got: pattern });
  }
  if (typeof format === "string" && Object.hasOwn(FORMATS, format)) return FORMATS[format];
  const known = Object.keys(FORMATS);
  throw new OptionError(
    `${where}.format: ${JSON.stringify(format)} cannot be held; there are ${known.join(", ")}`,
    {
      where: `${where}.format`,
      expected: known,
      got: format,
    },
  );
}

/** Whether no value can be of two of these schemas: their types differ, or a property that each of them fixes. */
function apart(options: readonly unknown[]): boolean {
  const schemas = options.map((option, i) => asSchema(option, `oneOf[${i}]`));
  const types = schemas.map((schema) => (typeof schema.type === "string" ? schema.type : undefined));
  const numbers = types.includes("integer") && types.includes("number");
  if (types.every((type) => type !== undefined) && new Set(types).size === types.length && !numbers)
    return true;
  const [first] = schemas;
  return Object.keys(asSchema(first.properties ?? {}, "properties")).some((name) => {
    const values = schemas.map((schema) => fixed(schema, name));
    return values.every((value) => value !== undefined) && new Set(values).size === values.length;
  });
}

function fixed({ properties, required }: JSONSchema, name: string): string | undefined {
  if (!Array.isArray(required) || !required.includes(name)) return undefined;
  const own = (properties as Record<string, unknown> | undefined)?.[name];
  if (typeof own !== "object" || own === null) return undefined;
  if ("const" in own) return JSON.stringify(own.const);
  const values = "enum" in own && Array.isArray(own.enum) ? own.enum : [];
  return values.length === 1 ? JSON.stringify(values[0]) : undefined;
}

function typesOf({ type }: JSONSchema, where: string): TypeName[] | undefined {
  if (type === undefined) return undefined;
  const types = [type].flat();
  const unknown = types.find((name) => !TYPES.includes(name as TypeName));
  if (unknown === undefined && types.length > 0) return types as TypeName[];
  throw new OptionError(`${where}.type: expected ${TYPES.join(", ")}, got ${JSON.stringify(type)}`, {
    where: `${where}.type`,
    expected: TYPES,
    got: type,
  });
}

function isOfType(value: unknown, type: TypeName): boolean {
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  if (type === "integer") return Number.isInteger(value);
  if (type === "object") return typeof value === "object" && value !== null && !Array.isArray(value);
  return typeof value === type;
}

function asSchema(value: unknown, where: string): JSONSchema {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as JSONSchema;
  throw new OptionError(`${where}: expected an object, got ${JSON.stringify(value)}`, { where, got: value });
}

function asList(value: unknown, where: string): unknown[] {
  if (Array.isArray(value)) return value;
  throw new OptionError(`${where}: expected a list, got ${JSON.stringify(value)}`, { where, got: value });
}

function finite(value: unknown, where: string): number {
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw new OptionError(`${where}: expected a number, got ${JSON.stringify(value)}`, { where, got: value });
}

function count(value: unknown, where: string): number {
  if (Number.isSafeInteger(value) && Number(value) >= 0) return Number(value);
  throw new OptionError(`${where}: expected a whole number, got ${JSON.stringify(value)}`, {
    where,
    got: value,
  });
}
