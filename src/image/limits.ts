/** Most bytes that a picture's file may have, where the caller does not say: 128 MiB. */
export const MAX_BYTES = 128 * 2 ** 20;

/** Most pixels that a picture may have, where the caller does not say: Pillow's limit for decompression bombs. */
export const MAX_PIXELS = 89_478_485;

/** Longest wait for a picture from the network, in seconds. */
export const TIMEOUT = 60;
