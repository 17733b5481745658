import { OptionError } from "../base/errors.ts";
import { didYouMean } from "../base/options.ts";
import { type ConfigDict, type Field, type FieldTable, fieldError, isRecord } from "./config_fields.ts";
import { cloneJson } from "./config_json.ts";

/**
 * An object whose class declares its fields in a static table. Each becomes a property that refuses what the field
 * does not accept; so do other names of fields, which stand for them.
 */
export abstract class DeclaredFields {
  static readonly fields: FieldTable = {};
  /** Other names of fields: `image_token_id` for `image_token_index`. */
  static readonly attribute_map: Readonly<Record<string, string>> = {};

  constructor(values: ConfigDict) {
    if (!isRecord(values)) {
      throw new OptionError(`${new.target.name} takes one object of fields`, { got: values });
    }
    const { fields, attribute_map } = new.target;
    for (const [name, field] of Object.entries(fields)) this.#declare(name, field, values[name]);
    for (const [alias, name] of Object.entries(attribute_map)) this.#declareAlias(alias, name, values[alias]);
  }

  /** Everything, as plain JSON. */
  abstract to_dict(): Record<string, unknown>;

  #declare(name: string, field: Field, given: unknown): void {
    let held: unknown;
    Object.defineProperty(this, name, {
      enumerable: true,
      configurable: true,
      get: () => held,
      set: (value: unknown) => {
        if (!field.accepts(value)) throw fieldError(name, field, value);
        held = value;
      },
    });
    if (given === undefined) held = cloneJson(field.default);
    else
      (this as unknown as Record<string, unknown>)[name] =
        given instanceof DeclaredFields ? given : cloneJson(given);
  }

  #declareAlias(alias: string, name: string, given: unknown): void {
    const self = this as unknown as Record<string, unknown>;
    Object.defineProperty(this, alias, {
      enumerable: false,
      configurable: true,
      get: () => self[name],
      set: (value: unknown) => {
        self[name] = value;
      },
    });
    if (given !== undefined) self[alias] = given;
  }
}

/** What of `values` the class declares under no name. */
export function undeclared({ fields, attribute_map }: typeof DeclaredFields, values: ConfigDict): ConfigDict {
  const rest = Object.entries(values).filter(
    ([key]) => !Object.hasOwn(fields, key) && !Object.hasOwn(attribute_map, key),
  );
  return Object.fromEntries(rest);
}

/**
 * The error for a field that the class does not declare.
 *
 * @param others keys that it takes beside its fields
 */
export function unknownField(
  { fields, attribute_map, name }: typeof DeclaredFields,
  key: string,
  others: readonly string[],
): OptionError {
  const hint = didYouMean(key, [...Object.keys(fields), ...Object.keys(attribute_map), ...others]);
  return new OptionError(
    `${key}: unknown option of ${name}.${hint} (${name}.from_dict keeps fields that it does not know.)`,
    { where: key },
  );
}
