import { equalJson } from "./config_json.ts";
import { DeclaredFields } from "./declared_fields.ts";
import { ROPE_INTEGERS } from "./rope_parameters.ts";

/**
 * What of a config's JSON is written where defaults are left out: what differs from the defaults that all configs
 * share. A part is always there, with what differs in it.
 *
 * @param dict all of the config's JSON
 * @param common the defaults
 */
export function differing(
  config: DeclaredFields,
  dict: Readonly<Record<string, unknown>>,
  common: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(dict)) {
    const part = at(config, key);
    if (part instanceof DeclaredFields) out[key] = differing(part, value as Record<string, unknown>, common);
    else if (!Object.hasOwn(common, key) || !equalJson(value, common[key])) out[key] = value;
  }
  return out;
}

/** Whether Python holds a float at this path of a config's JSON. */
export function isFloatAt(config: DeclaredFields, path: readonly string[]): boolean {
  const [key, ...below] = path;
  if (key === undefined) return false;
  const part = at(config, key);
  if (part instanceof DeclaredFields) return isFloatAt(part, below);
  if (key === "rope_parameters") return below.length > 0 && !ROPE_INTEGERS.includes(below[0]);
  const { fields } = config.constructor as typeof DeclaredFields;
  return below.length === 0 && fields[key]?.float === true;
}

function at(config: DeclaredFields, key: string): unknown {
  return (config as unknown as Record<string, unknown>)[key];
}
