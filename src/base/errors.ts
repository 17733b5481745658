/** Facts that an error carries beside its sentence. */
export interface ErrorFacts {
  /** Where it happened: a file, a dotted path, an option's name. */
  where?: string;
  expected?: unknown;
  got?: unknown;
  cause?: unknown;
}

/** The common parent of everything that this library throws on purpose. */
export abstract class LlavaError extends Error {
  readonly where: string | undefined;
  readonly expected: unknown;
  readonly got: unknown;

  constructor(message: string, facts: ErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = new.target.name;
    this.where = facts.where;
    this.expected = facts.expected;
    this.got = facts.got;
  }
}

/** An argument or option is unknown, has the wrong type, or is out of range. */
export class OptionError extends LlavaError {}

/** Sizes that must agree do not: tensors, picture and tower, picture tokens and features. */
export class ShapeError extends LlavaError {}

/** A checkpoint's files are missing, damaged, or contradict each other. */
export class CheckpointError extends LlavaError {
  /** The file at fault, where one is. */
  readonly file: string | undefined;
  /** The tensors at fault, by name. */
  readonly tensors: readonly string[];

  constructor(message: string, facts: ErrorFacts & { file?: string; tensors?: readonly string[] } = {}) {
    super(message, facts);
    this.file = facts.file;
    this.tensors = facts.tensors ?? [];
  }
}

/** A file could not be had from the Hub: missing, gated, offline, cut off. */
export class HubError extends LlavaError {
  /** HTTP status, where there was an answer. */
  readonly status: number | undefined;
  readonly url: string | undefined;

  constructor(message: string, facts: ErrorFacts & { status?: number; url?: string } = {}) {
    super(message, facts);
    this.status = facts.status;
    this.url = facts.url;
  }
}

/** A picture could not be found, read, or decoded, or is too large. */
export class ImageError extends LlavaError {}

/** A known feature that this library does not have (yet), or that has no meaning here. */
export class UnsupportedError extends LlavaError {}
