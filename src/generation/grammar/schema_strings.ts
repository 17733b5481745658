import { OptionError } from "../../base/errors.ts";
import { complement } from "./character_sets.ts";
import { FORMATS, NAMES_OF_PATTERNS } from "./formats.ts";
import type { Node } from "./grammar.ts";
import type { JsonText } from "./json_text.ts";
import { type Language, Languages } from "./language.ts";
import { LanguageText } from "./language_text.ts";
import { patternLanguage } from "./pattern.ts";
import { bounds, type JSONSchema } from "./schema_keywords.ts";

/** Strings that a schema allows. @param parts schemas whose patterns and formats hold as well */
export function stringOf(
  json: JsonText,
  schema: JSONSchema,
  parts: readonly JSONSchema[],
  where: string,
): Node {
  const [min, max] = bounds(schema, "minLength", "maxLength", where);
  const languages = new Languages();
  const all = [schema, ...parts];
  const beside = all.some(({ pattern }) => pattern !== undefined);
  const rules = all.flatMap((part) => rulesOf(languages, part, beside, where));
  const counted = min > 0 || max < Number.POSITIVE_INFINITY;
  if (rules.length === 0) {
    return counted ? json.quoted(json.grammar.repeat(json.character, min, max)) : json.string;
  }
  if (counted) rules.push(languages.repeat(languages.chars(complement([])), min, max));
  return json.quoted(new LanguageText(json.grammar, languages).node(languages.both(...rules)));
}

/** What a schema's pattern and format say. @param beside whether there is a pattern, here or beside it */
function rulesOf(
  languages: Languages,
  { pattern, format }: JSONSchema,
  beside: boolean,
  where: string,
): Language[] {
  const rules: Language[] = [];
  if (pattern !== undefined) {
    if (typeof pattern !== "string") {
      throw new OptionError(`${where}.pattern: expected a string`, {
        where: `${where}.pattern`,
        got: pattern,
      });
    }
    rules.push(patternLanguage(languages, pattern, `${where}.pattern`));
  }
  const text = format === undefined ? undefined : formatPattern(format, beside, where);
  if (text !== undefined) rules.push(patternLanguage(languages, text, `${where}.format`));
  return rules;
}

/** @returns undefined where the pattern beside it says all */
function formatPattern(format: unknown, beside: boolean, where: string): string | undefined {
  if (typeof format === "string" && Object.hasOwn(FORMATS, format)) {
    const { plain, any = plain } = FORMATS[format];
    return beside ? any : plain;
  }
  if (beside && NAMES_OF_PATTERNS.includes(String(format))) return undefined;
  const known = Object.keys(FORMATS);
  throw new OptionError(
    `${where}.format: ${JSON.stringify(format)} cannot be held; there are ${known.join(", ")}`,
    { where: `${where}.format`, expected: known, got: format },
  );
}
