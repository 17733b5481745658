/** There are no paths in a browser: no string names a file. */
export async function readPath(): Promise<undefined> {
  return undefined;
}
