import { OptionError } from "../base/errors.ts";

/** A file that a call must name. @throws OptionError where it does not */
export function needed<Name extends string>(
  files: { readonly [name in Name]?: string | undefined },
  name: Name,
): string {
  const path = files[name];
  if (path !== undefined) return path;
  const flag = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  throw new OptionError(`${name} is missing: name the file or folder (${flag} on the command line).`, {
    where: name,
  });
}
