import { OptionError } from "../../base/errors.ts";
import { nearest } from "../../base/options.ts";

/** A JSON schema, as an object; `true` and `false` stand for everything and nothing within one. */
export type JSONSchema = { readonly [keyword: string]: unknown };

/** Say nothing about which values are right. */
const ANNOTATIONS = [
  ["title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"],
  ["$schema", "$id", "$comment", "$defs", "definitions", "contentEncoding", "contentMediaType"],
].flat();

/** Keywords that speak of values of one type only. */
export const OF_TYPE = {
  object: ["properties", "required", "additionalProperties", "propertyNames"],
  array: ["items", "additionalItems", "prefixItems", "minItems", "maxItems"],
  string: ["minLength", "maxLength", "pattern", "format"],
  integer: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  boolean: [],
  null: [],
} as const satisfies Record<string, readonly string[]>;

export type TypeName = keyof typeof OF_TYPE;

const TYPES = Object.keys(OF_TYPE) as TypeName[];
const COMBINING = ["type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref"];
export function isAnnotation(keyword: string): boolean {
  return ANNOTATIONS.includes(keyword);
}

const KNOWN = [...new Set([...Object.values(OF_TYPE).flat(), ...COMBINING, ...ANNOTATIONS])];

/** @throws OptionError naming the first keyword that is unknown, or has no meaning where it stands */
export function checkKeywords(schema: JSONSchema, where: string): void {
  const keywords = Object.keys(schema).filter((keyword) => !isAnnotation(keyword));
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
  if (first === "allOf") return;
  const beside = first && keywords.find((keyword) => !alone.includes(keyword));
  if (beside) throw cannotBeHeld(`${where}.${beside}`, `beside ${first}`);
  const types = typesOf(schema, where);
  const allowed: readonly string[] = (types ?? []).flatMap((type) => OF_TYPE[type]);
  const stray = keywords.find((keyword) => !COMBINING.includes(keyword) && !allowed.includes(keyword));
  if (stray) throw cannotBeHeld(`${where}.${stray}`, types ? `for type ${types}` : 'without a "type"');
}

export function cannotBeHeld(where: string, why: string): OptionError {
  return new OptionError(`${where} cannot be held ${why}`, { where });
}

/** The types that a schema names; undefined where it names none. */
export function typesOf({ type }: JSONSchema, where: string): TypeName[] | undefined {
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

export function isOfType(value: unknown, type: TypeName): boolean {
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  if (type === "integer") return Number.isInteger(value);
  if (type === "object") return typeof value === "object" && value !== null && !Array.isArray(value);
  return typeof value === type;
}

export function asSchema(value: unknown, where: string): JSONSchema {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as JSONSchema;
  throw new OptionError(`${where}: expected an object, got ${JSON.stringify(value)}`, { where, got: value });
}

export function asList(value: unknown, where: string): unknown[] {
  if (Array.isArray(value)) return value;
  throw new OptionError(`${where}: expected a list, got ${JSON.stringify(value)}`, { where, got: value });
}

export function finite(value: unknown, where: string): number {
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

/** Two keywords that bound a count from below and above. */
export function bounds(schema: JSONSchema, least: string, most: string, where: string): [number, number] {
  const [min, max] = [least, most].map((keyword, i) =>
    schema[keyword] === undefined
      ? [0, Number.POSITIVE_INFINITY][i]
      : count(schema[keyword], `${where}.${keyword}`),
  );
  if (min > max)
    throw new OptionError(`${where}.${most} is less than ${least}`, { where: `${where}.${most}` });
  return [min, max];
}
