import { unknownOption } from "../../base/options.ts";
import { HUB_OPTIONS } from "../../hub/repository.ts";
import type { ImageProcessorInit } from "./image_signatures.ts";

/** The static side of an image processor. */
export interface ImageProcessorClass<P> {
  new (options?: ImageProcessorInit): P;
  readonly valid_kwargs: readonly string[];
}

/**
 * A processor from what its files say and a call's options.
 *
 * @param where what was called, for messages
 * @throws OptionError for an option that is unknown, unless `return_unused_kwargs` is true
 */
export function buildProcessor<P>(
  processorClass: ImageProcessorClass<P>,
  dict: Readonly<Record<string, unknown>>,
  options: Readonly<Record<string, unknown>>,
  where: string,
): P | [P, Record<string, unknown>] {
  const { return_unused_kwargs, ...others } = options;
  const known = (name: string) => processorClass.valid_kwargs.includes(name);
  const entries = Object.entries(others);
  const unused = entries.filter(([name]) => !known(name));
  if (unused.length > 0 && return_unused_kwargs !== true) {
    throw unknownOption(where, unused[0][0], [...processorClass.valid_kwargs, ...HUB_OPTIONS]);
  }
  const used = entries.filter(([name, value]) => known(name) && value !== undefined);
  const processor = new processorClass({ ...dict, ...Object.fromEntries(used) });
  return return_unused_kwargs === true ? [processor, Object.fromEntries(unused)] : processor;
}
