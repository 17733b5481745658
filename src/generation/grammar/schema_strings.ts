import { OptionError } from "../../base/errors.ts";
import { FORMATS } from "./formats.ts";
import type { Node } from "./grammar.ts";
import type { JsonText } from "./json_text.ts";
import { patternOf } from "./pattern.ts";
import { bounds, cannotBeHeld, type JSONSchema } from "./schema_keywords.ts";

/** Strings that a schema allows. */
export function stringOf(json: JsonText, schema: JSONSchema, where: string): Node {
  const { pattern, format } = schema;
  const [min, max] = bounds(schema, "minLength", "maxLength", where);
  const counted = min > 0 || max < Number.POSITIVE_INFINITY;
  if (pattern !== undefined || format !== undefined) {
    if (counted) throw cannotBeHeld(`${where}.minLength`, "beside a pattern or format");
    if (pattern !== undefined && format !== undefined)
      throw cannotBeHeld(`${where}.format`, "beside a pattern");
    return json.quoted(patternOf(json.grammar, patternText(schema, where), `${where}.pattern`));
  }
  if (!counted) return json.string;
  return json.quoted(json.grammar.repeat(json.character, min, max));
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
