import { OptionError } from "../base/errors.ts";

/** Whose custom keys are kept, and what they are called there. */
interface Keeper {
  /** What its class has under a name, no key may hide. */
  readonly cls: { readonly prototype: object };
  readonly noun: "field" | "setting";
}

/**
 * Keeps a key that no one here knows, as a plain property of `owner`.
 *
 * @throws OptionError where it would hide what the class has under that name
 */
export function keepKey(owner: object, key: string, value: unknown, { cls, noun }: Keeper): void {
  if (key in cls.prototype || key === "__proto__") {
    throw new OptionError(`${owner.constructor.name}: '${key}' cannot be the name of a ${noun}`, {
      where: key,
    });
  }
  Object.defineProperty(owner, key, { value, enumerable: true, configurable: true, writable: true });
}
