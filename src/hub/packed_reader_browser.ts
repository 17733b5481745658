/** `openCopy` where there is no disk: weights are packed at each start. */
export async function openCopy(): Promise<undefined> {
  return undefined;
}
