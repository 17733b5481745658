import { OptionError } from "../base/errors.ts";
import type { ConfigDict } from "./config_fields.ts";
import type { PreTrainedConfig } from "./configuration_utils.ts";
import { DeclaredFields } from "./declared_fields.ts";

/** A part of a config that is a config itself. */
export interface SubConfigSpec {
  /** The class for a `model_type`, or undefined where there is none. */
  resolve(modelType: string): ConfigClass | undefined;
  /** The model types that `resolve` knows, for messages. */
  readonly known: readonly string[];
  /** Taken where the part names no `model_type`. */
  readonly model_type: string;
  /** The part's fields where it is null. */
  readonly init_kwargs?: ConfigDict;
}

/** What happens to fields that a class does not know. */
export interface UnknownFields {
  /** They are kept as they are, as files' are; otherwise they throw. */
  keep_unknown?: boolean;
}

/** The static side of a config class. */
export type ConfigClass<T extends PreTrainedConfig = PreTrainedConfig> = (new (
  values?: ConfigDict,
  options?: UnknownFields,
) => T) &
  Omit<typeof PreTrainedConfig, "prototype">;

/** Makes configs of those parts of `owner` that are still JSON, or null. */
export function createSubConfigs(
  owner: object,
  specs: Readonly<Record<string, SubConfigSpec>>,
  options: UnknownFields,
): void {
  const parts = owner as Record<string, unknown>;
  for (const [key, spec] of Object.entries(specs)) {
    if (parts[key] instanceof DeclaredFields) continue;
    parts[key] = createSubConfig(key, spec, parts[key] as ConfigDict | null, options);
  }
}

function createSubConfig(
  key: string,
  spec: SubConfigSpec,
  given: ConfigDict | null,
  options: UnknownFields,
): PreTrainedConfig {
  const type = given?.model_type ?? spec.model_type;
  const cls = typeof type === "string" ? spec.resolve(type) : undefined;
  if (cls === undefined) {
    const where = `${key}.model_type`;
    throw new OptionError(`${where}: expected one of ${spec.known.join(", ")}, got ${JSON.stringify(type)}`, {
      where,
      expected: spec.known,
      got: type,
    });
  }
  try {
    return new cls(given ?? spec.init_kwargs ?? {}, options);
  } catch (error) {
    if (!(error instanceof OptionError)) throw error;
    const { expected, got } = error;
    throw new OptionError(`${key}.${error.message}`, {
      where: `${key}.${error.where}`,
      expected,
      got,
      cause: error,
    });
  }
}
