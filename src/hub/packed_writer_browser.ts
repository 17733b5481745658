/** `createCopy` where there is no disk. */
export async function createCopy(): Promise<undefined> {
  return undefined;
}
