import { OptionError } from "../../base/errors.ts";
import type { Grammar, Node } from "./grammar.ts";
import { isExact, type NumberBounds, NumberScanner } from "./number_scanner.ts";
import { finite, type JSONSchema, OF_TYPE } from "./schema_keywords.ts";

/** Numbers that a schema allows. */
export function numberOf(grammar: Grammar, integer: boolean, schema: JSONSchema, where: string): Node {
  const bounds: NumberBounds = Object.fromEntries(
    OF_TYPE.number
      .filter((keyword) => schema[keyword] !== undefined)
      .map((keyword) => [keyword, finite(schema[keyword], `${where}.${keyword}`)]),
  );
  const { multipleOf } = bounds;
  if (multipleOf !== undefined && !(multipleOf > 0 && multipleOf < 1e15 && isExact(multipleOf))) {
    throw new OptionError(
      `${where}.multipleOf: expected a number above 0, of 15 digits and 12 after the point`,
      {
        where: `${where}.multipleOf`,
        got: multipleOf,
      },
    );
  }
  if (Object.keys(bounds).length > 0) return grammar.scan(new NumberScanner(bounds, integer));
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
