import { checkOptions } from "../../base/options.ts";
import { type ConfigDict, type FieldTable, fieldError } from "../config_fields.ts";
import { cloneJson, equalJson, pythonJson } from "../config_json.ts";
import { saveTextFileAt } from "../save_file.ts";

/** What all configurations of quantisation have in common: fields by name, to and from JSON. */
export abstract class QuantizationConfigMixin {
  /** The format's name in config.json. */
  abstract readonly quant_method: string;

  /** Fields as they stand in config.json. */
  abstract to_dict(): Record<string, unknown>;

  /** The fields that are set on the object itself. */
  protected own(): Record<string, unknown> {
    return Object.fromEntries(Object.entries(this));
  }

  /** The fields that are written. */
  to_diff_dict(): Record<string, unknown> {
    return this.to_dict();
  }

  to_json_string(use_diff = true): string {
    const fields = use_diff ? this.to_diff_dict() : this.to_dict();
    return pythonJson(fields, ([name]) => name === "llm_int8_threshold");
  }

  async to_json_file(json_file_path: string): Promise<void> {
    await saveTextFileAt(json_file_path, this.to_json_string(false));
  }

  /** Sets those fields that it has, and gives the others back. */
  update(values: ConfigDict): Record<string, unknown> {
    const known = Object.entries(values).filter(([name]) => name in this);
    Object.assign(this, Object.fromEntries(known));
    return Object.fromEntries(Object.entries(values).filter(([name]) => !(name in this)));
  }
}

/**
 * The values of all fields: the defaults, then what was given.
 *
 * @throws OptionError naming the field that is not known, or whose value cannot be
 */
export function readFields(where: string, fields: FieldTable, values: ConfigDict): Record<string, unknown> {
  checkOptions(where, values, Object.keys(fields));
  const read: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(fields)) {
    const value = values[name];
    if (value === undefined) {
      read[name] = cloneJson(field.default);
      continue;
    }
    if (!field.accepts(value)) throw fieldError(`${where}: ${name}`, field, value);
    read[name] = cloneJson(value);
  }
  return read;
}

/** Those of `values` that are fields: a file may hold more. */
export function onlyFields(fields: FieldTable, values: ConfigDict): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([name]) => Object.hasOwn(fields, name)));
}

/** What differs from `defaults`. */
export function difference(
  values: Record<string, unknown>,
  defaults: Record<string, unknown>,
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(values).filter(([name, value]) => !equalJson(value, defaults[name])),
  );
}
