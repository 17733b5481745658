/** What tells a file from any other that lies, or will lie, at its place. */
export interface FileIdentity {
  /** Where it really is, links followed. */
  readonly path: string;
  readonly bytes: number;
  /** Its time of change; of a blob of the Hub's cache, whose name is the hash of its content, that name. */
  readonly stamp: number | string;
}

/** Bytes that can be read from any place without reading the rest. */
export interface RandomAccess {
  /** The whole length in bytes. */
  readonly size: number;
  /** Of a file on disk. */
  readonly identity?: FileIdentity;
  /** Exactly `length` bytes from `offset`. Rejects where that is past the end. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** The same into memory that is there already. */
  readInto?(offset: number, target: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/**
 * The files of one checkpoint at one revision, wherever they lie: a folder, the shared cache, the Hub.
 * Paths are relative, with `/`. A file that is not there yet is downloaded when it is first asked for.
 */
export interface Repository {
  /** As the user named it: a folder or a Hub id. */
  readonly name: string;
  /** The folder on disk that holds the files, where there is one. */
  readonly folder?: string;
  /** Why no more can be had than is on disk already, where that is so. */
  readonly offline?: string;
  /** Whether the file exists (without downloading it). */
  has(path: string): Promise<boolean>;
  /** A small file, whole. Rejects with CheckpointError or HubError naming it where there is none or it is too large. */
  text(path: string): Promise<string>;
  /** A small file, parsed. Rejects with CheckpointError naming the file and place where it is not JSON. */
  json(path: string): Promise<unknown>;
  /** A large file. */
  open(path: string): Promise<RandomAccess>;
  /** The paths of all files, without downloading any. */
  list(): Promise<string[]>;
  /** Brings these files here, where that takes time; the disk is checked for all of them first. */
  prepare?(paths: readonly string[]): Promise<void>;
}

/** Where `from_pretrained` looks. Names and defaults are Transformers'. */
export interface HubOptions {
  revision?: string;
  token?: string | boolean | null;
  cache_dir?: string;
  local_files_only?: boolean;
  force_download?: boolean;
  subfolder?: string;
  signal?: AbortSignal;
  progress_callback?: (progress: Progress) => void;
}

/** Names of HubOptions, for option checks. */
export const HUB_OPTIONS: readonly string[] = [
  "revision",
  "token",
  "cache_dir",
  "local_files_only",
  "force_download",
  "subfolder",
  "signal",
  "progress_callback",
];

/** Splits options into those that say where to look, and the others. */
export function splitHubOptions(options: object): [HubOptions, Record<string, unknown>] {
  const entries = Object.entries(options);
  return [
    Object.fromEntries(entries.filter(([name]) => HUB_OPTIONS.includes(name))),
    Object.fromEntries(entries.filter(([name]) => !HUB_OPTIONS.includes(name))),
  ];
}

/** How far a long job is. `loaded` and `total` are bytes. */
export interface Progress {
  status: "download" | "load" | "pack";
  file?: string;
  loaded: number;
  total: number;
}
