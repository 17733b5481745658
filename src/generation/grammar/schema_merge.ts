import { asList, asSchema, cannotBeHeld, isAnnotation, type JSONSchema, typesOf } from "./schema_keywords.ts";

const HIGHEST = ["minimum", "exclusiveMinimum", "minLength", "minItems"];
const LOWEST = ["maximum", "exclusiveMaximum", "maxLength", "maxItems"];
const OF_OBJECTS = ["properties", "additionalProperties", "required"];

/** Schemas whose patterns and formats hold beside those of a merged one. */
const texts = new WeakMap<JSONSchema, JSONSchema[]>();

export function textRules(schema: JSONSchema): readonly JSONSchema[] {
  return texts.get(schema) ?? [];
}

/**
 * One schema for several that must all hold.
 *
 * @throws OptionError naming a keyword that several have, and that cannot be made one
 */
export function mergeSchemas(schemas: readonly JSONSchema[], where: string): JSONSchema {
  const result: Record<string, unknown> = {};
  const rules: JSONSchema[] = [];
  for (const schema of schemas) {
    const { pattern, format, ...others } = schema;
    if (pattern !== undefined || format !== undefined) rules.push({ pattern, format });
    for (const [keyword, value] of Object.entries(others)) {
      if (isAnnotation(keyword) || OF_OBJECTS.includes(keyword)) continue;
      result[keyword] =
        keyword in result ? together(keyword, result[keyword], value, `${where}.${keyword}`) : value;
    }
  }
  if (schemas.some((schema) => OF_OBJECTS.some((keyword) => schema[keyword] !== undefined))) {
    Object.assign(result, objectsOf(schemas, where));
  }
  texts.set(result, rules);
  return result;
}

function together(keyword: string, a: unknown, b: unknown, where: string): unknown {
  if (JSON.stringify(a) === JSON.stringify(b)) return a;
  if (HIGHEST.includes(keyword)) return Math.max(Number(a), Number(b));
  if (LOWEST.includes(keyword)) return Math.min(Number(a), Number(b));
  if (keyword === "type") return commonTypes(a, b, where);
  if (keyword === "items" && !Array.isArray(a) && !Array.isArray(b)) return { allOf: [a, b] };
  if (keyword === "enum") {
    const others = asList(b, where).map((value) => JSON.stringify(value));
    return asList(a, where).filter((value) => others.includes(JSON.stringify(value)));
  }
  throw cannotBeHeld(where, "in several parts of allOf");
}

function commonTypes(a: unknown, b: unknown, where: string): string[] {
  const [first, second] = [a, b].map((type) => typesOf({ type }, where) ?? []);
  const both = first.filter((type) => second.includes(type));
  const whole = [first, second].some((types) => types.includes("integer"));
  const numbers = [first, second].every((types) => types.includes("integer") || types.includes("number"));
  if (whole && numbers && !both.includes("integer") && !both.includes("number")) both.push("integer");
  if (both.length > 0) return both;
  throw cannotBeHeld(where, "of different kinds in parts of allOf");
}

/** A name means what each of the schemas says of it: as of a property of its own, or as of any other. */
function objectsOf(schemas: readonly JSONSchema[], where: string): JSONSchema {
  const declared = schemas.map((schema) => asSchema(schema.properties ?? {}, `${where}.properties`));
  const others = schemas.map(({ additionalProperties = true }) => additionalProperties);
  const names = [...new Set(declared.flatMap((properties) => Object.keys(properties)))];
  const all = (parts: readonly unknown[]): unknown => {
    if (parts.includes(false)) return false;
    const own = parts.filter((part) => part !== true);
    return own.length === 0 ? true : own.length === 1 ? own[0] : { allOf: own };
  };
  const meaning = (name: string): unknown =>
    all(declared.map((own, i) => (Object.hasOwn(own, name) ? own[name] : others[i])));
  return {
    properties: Object.fromEntries(names.map((name) => [name, meaning(name)])),
    required: [...new Set(schemas.flatMap(({ required = [] }) => asList(required, `${where}.required`)))],
    additionalProperties: all(others),
  };
}
