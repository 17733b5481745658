import { warnOnce } from "../base/env.ts";

/** The caller's processors or criteria among those of `generate`: the same class takes the place, others come after. */
export function mergeCustom<Item extends object, List extends Item[]>(
  own: List,
  custom: Iterable<Item>,
): List {
  const given = [...custom];
  for (const [i, item] of [...own].entries()) {
    const replacement = given.find((other) => classOf(other) === classOf(item));
    if (replacement === undefined) continue;
    warnOnce(`The ${classOf(item).name} that was passed takes the place of the one that the settings make.`);
    own[i] = replacement;
  }
  for (const item of given) if (!own.includes(item)) own.push(item);
  return own;
}

/** Plain functions are of one class, which nothing of `generate` is. */
function classOf(item: object): { name: string } {
  return Object.getPrototypeOf(item).constructor;
}
