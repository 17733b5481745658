import type { FileIdentity } from "./repository.ts";
import type { StoredTensor } from "./weights.ts";

/** A tensor of packed bytes. */
export interface PackedSpec {
  readonly name: string;
  readonly shape: readonly number[];
}

/** All that a packed copy depends on. Where any of it differs, it is another copy. */
export interface CopyKey {
  /** The checkpoint's files. */
  readonly sources: readonly FileIdentity[];
  readonly dtype: string;
  /** The version of the packed layout. */
  readonly layout: number;
  readonly tensors: readonly PackedSpec[];
}

/** A packed copy that is whole, as far as could be told without reading it. */
export interface CopyReader {
  get(name: string): StoredTensor;
  /** The checksum that was written with a tensor. */
  checksum(name: string): number;
  close(): Promise<void>;
  /** Removes it: it is damaged. */
  discard(): Promise<void>;
}

/** A packed copy in the making. Nobody sees it before `commit`. It never rejects: without a copy all goes on. */
export interface CopyWriter {
  /** May be called for the next tensor before it resolves. */
  add(name: string, bytes: Uint8Array, checksum: number): Promise<void>;
  /** All tensors were added: the copy is there from now on, whole. */
  commit(): Promise<void>;
  discard(): Promise<void>;
}
