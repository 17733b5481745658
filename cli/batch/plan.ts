import { RecordFileError } from "../../src/base/append_file_node.ts";
import type { BatchInput } from "./input.ts";
import {
  type BatchDefaults,
  type BatchRequest,
  type BrokenRequest,
  identityOf,
  readRequest,
} from "./request.ts";
import { ResultsFile, removeRecords } from "./results.ts";

/** A batch that is ready to go: every line of it is known, and those that have their record. */
export interface Plan {
  total: number;
  results: ResultsFile;
  /** What has no record yet, in the order of the input. */
  questions(): AsyncGenerator<BatchRequest | BrokenRequest>;
}

/**
 * Goes through the input once, before anything is computed, and holds it against the results that are there.
 *
 * @param retryErrors ask again what failed
 * @throws RecordFileError where two lines are called the same, or the results are those of another input
 */
export async function makePlan(
  input: BatchInput,
  out: string,
  defaults: BatchDefaults,
  retryErrors: boolean,
): Promise<Plan> {
  let results = await ResultsFile.open(out);
  try {
    const { total, again } = await compare(input, results, defaults, retryErrors);
    if (again.size > 0) {
      await results.close();
      await removeRecords(out, again);
      results = await ResultsFile.open(out);
    }
    return { total, results, questions: () => unanswered(input, defaults, results) };
  } catch (error) {
    await results.close().catch(() => {});
    throw error;
  }
}

async function* unanswered(
  input: BatchInput,
  defaults: BatchDefaults,
  results: ResultsFile,
): AsyncGenerator<BatchRequest | BrokenRequest> {
  for await (const entry of input.entries()) {
    const request = readRequest(entry, defaults);
    if (!results.has(identityOf(request.name))) yield request;
  }
}

/**
 * @returns `again`: what is asked again, its records taken out: errors, where that is wanted or their line was changed, and
 *   what has more than one record
 */
async function compare(
  input: BatchInput,
  results: ResultsFile,
  defaults: BatchDefaults,
  retryErrors: boolean,
): Promise<{ total: number; again: Set<string> }> {
  const places = new Map<string, number>();
  const again = new Set(results.repeated);
  const foreign = new Set(results.known.keys());
  for await (const entry of input.entries()) {
    const { name, digest } = readRequest(entry, defaults);
    const identity = identityOf(name);
    const place = entry.kind === "picture" ? places.size + 1 : entry.number;
    const other = places.get(identity);
    if (other !== undefined) throw calledTheSame(input, identity, other, place);
    places.set(identity, place);
    foreign.delete(identity);
    const known = results.known.get(identity);
    if (known?.failed && (retryErrors || known.digest !== digest)) again.add(identity);
    else if (known && known.digest !== digest) throw askedOtherwise(results.path, identity);
  }
  for (const identity of foreign) {
    // A broken line that was mended has another name now.
    if (!results.known.get(identity)?.failed) throw notAsked(input, results.path, identity);
    again.add(identity);
  }
  return { total: places.size, again };
}

function calledTheSame(
  { name }: BatchInput,
  identity: string,
  first: number,
  second: number,
): RecordFileError {
  return new RecordFileError(
    `${name}: lines ${first} and ${second} are both called ${identity}. Results are told apart by it: ` +
      "give each line a key of its own.",
    { where: name, got: identity },
  );
}

function askedOtherwise(out: string, identity: string): RecordFileError {
  return new RecordFileError(
    `${out}: the result for ${identity} was made with another picture, prompt, model or setting. ` +
      "Name another file for the results.",
    { where: out, got: identity },
  );
}

function notAsked(input: BatchInput, out: string, identity: string): RecordFileError {
  return new RecordFileError(
    `${out}: it has a result for ${identity}, which ${input.name} does not ask. Name another file for the results.`,
    { where: out, got: identity },
  );
}
