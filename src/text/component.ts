import { CheckpointError, UnsupportedError } from "../base/errors.ts";
import type { FilePattern } from "./pattern.ts";

/** A normalizer, pre_tokenizer, post_processor or decoder as tokenizer.json describes it. */
export interface Component {
  readonly type: string;
  readonly [key: string]: unknown;
}

/** Whether a value is a plain JSON object. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** @throws CheckpointError where the value is no component */
export function asComponent(value: unknown, where: string): Component {
  if (isRecord(value) && typeof value.type === "string") return value as Component;
  throw broken(where, "an object with a 'type'", value);
}

/** The components of a Sequence. */
export function componentList(config: Component, key: string): Component[] {
  const list = config[key];
  if (!Array.isArray(list)) throw broken(`${config.type}.${key}`, "a list", list);
  return list.map((item, i) => asComponent(item, `${config.type}.${key}[${i}]`));
}

/** Typed access to a component's fields; each throws a CheckpointError naming the field. */
export const read = {
  string(config: Component, key: string, otherwise?: string): string {
    const value = config[key] ?? otherwise;
    if (typeof value !== "string") throw broken(`${config.type}.${key}`, "a string", value);
    return value;
  },
  boolean(config: Component, key: string, otherwise: boolean): boolean {
    const value = config[key] ?? otherwise;
    if (typeof value !== "boolean") throw broken(`${config.type}.${key}`, "true or false", value);
    return value;
  },
  count(config: Component, key: string, otherwise: number): number {
    const value = config[key] ?? otherwise;
    if (!Number.isSafeInteger(value) || (value as number) < 0) {
      throw broken(`${config.type}.${key}`, "a count", value);
    }
    return value as number;
  },
  pattern(config: Component, key: string): FilePattern {
    const value = config[key];
    if (isRecord(value) && typeof value.String === "string") return { String: value.String };
    if (isRecord(value) && typeof value.Regex === "string") return { Regex: value.Regex };
    throw broken(`${config.type}.${key}`, "{ String } or { Regex }", value);
  },
};

/** The error for a tokenizer.json that is not what it should be at one place. */
export function broken(where: string, expected: string, got: unknown): CheckpointError {
  const seen = JSON.stringify(got) ?? "nothing";
  return new CheckpointError(`tokenizer.json: ${where}: expected ${expected}, found ${seen.slice(0, 80)}`, {
    where,
    expected,
    got,
    file: "tokenizer.json",
  });
}

/** The error for a kind of component that is valid but not had here. */
export function unsupported(role: string, type: string, known: readonly string[]): UnsupportedError {
  return new UnsupportedError(
    `tokenizer.json: ${role} '${type}' is not supported. Supported are ${known.join(", ")}.`,
    { where: role, got: type },
  );
}
