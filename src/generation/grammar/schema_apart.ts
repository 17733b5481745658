import { asSchema, type JSONSchema } from "./schema_keywords.ts";

/** Whether no value can be of two of these schemas: their types differ, or a property that each of them fixes. */
export function areApart(options: readonly unknown[]): boolean {
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
