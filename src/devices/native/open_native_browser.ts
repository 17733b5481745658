/** In a browser there is no memory that can be made executable. */
export async function openNativeDevice(): Promise<{ reason: string }> {
  return { reason: "a browser runs no machine code from a page" };
}
