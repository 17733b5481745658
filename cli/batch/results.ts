import { open, rename } from "node:fs/promises";
import { AppendFile, RecordFileError } from "../../src/base/append_file_node.ts";
import { readFileLines } from "../../src/base/file_lines_node.ts";
import { beginsRecord, readRecord } from "./record.ts";
import { identityOf } from "./request.ts";

/** What the file says about one question. */
export interface Known {
  digest: string;
  failed: boolean;
}

/** The file of results: which questions have their record, and where the next goes. Each question has one at most. */
export class ResultsFile {
  readonly path: string;
  /** Questions with more than one result: two writers that did not see each other, on two machines say. */
  readonly repeated: ReadonlySet<string>;
  readonly #file: AppendFile;
  readonly #known: Map<string, Known>;
  #done: number;
  #failed: number;
  #waiting: string[] = [];
  #written: Promise<void> = Promise.resolve();

  private constructor(
    path: string,
    file: AppendFile,
    known: Map<string, Known>,
    repeated: ReadonlySet<string>,
  ) {
    this.path = path;
    this.repeated = repeated;
    this.#file = file;
    this.#known = known;
    this.#done = known.size;
    this.#failed = [...known.values()].filter(({ failed }) => failed).length;
  }

  /**
   * Opens a file of results, or begins one. What a dead writer left of a last line is cut off.
   *
   * @throws RecordFileError where it holds anything else: it is left as it is
   */
  static async open(path: string): Promise<ResultsFile> {
    const known = new Map<string, Known>();
    const repeated = new Set<string>();
    let number = 0;
    const file = await AppendFile.open(path, (line, whole) => {
      number++;
      const record = readRecord(line);
      if (record === undefined) {
        if (!whole && beginsRecord(line)) return false;
        throw new RecordFileError(
          `${path}, line ${number}: this is no result of llava batch. Name another file for the results.`,
          { where: path },
        );
      }
      const identity = identityOf(record.name);
      const before = known.get(identity);
      if (before !== undefined && before.digest === record.digest) repeated.add(identity);
      else if (before !== undefined) {
        throw new RecordFileError(
          `${path}, line ${number}: there are two different results for ${identity}.`,
          {
            where: path,
          },
        );
      }
      known.set(identity, { digest: record.digest, failed: record.failed });
      return true;
    });
    return new ResultsFile(path, file, known, repeated);
  }

  get known(): ReadonlyMap<string, Known> {
    return this.#known;
  }

  /** Records that are on the disk, and how many of them are errors. */
  get counts(): { done: number; failed: number } {
    return { done: this.#done, failed: this.#failed };
  }

  has(identity: string): boolean {
    return this.#known.has(identity);
  }

  /** Adds a line, and waits until it is on the disk. Lines that come together are written together. */
  async add(identity: string, line: string, known: Known): Promise<void> {
    if (this.#known.has(identity)) return;
    this.#known.set(identity, known);
    this.#waiting.push(line);
    this.#written = this.#written.then(async () => {
      const lines = this.#waiting.splice(0);
      if (lines.length > 0) await this.#file.append(lines.join(""));
    });
    await this.#written;
    this.#done++;
    if (known.failed) this.#failed++;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** Takes records out of a file of results. It is replaced at once: a death in between leaves it as it was. */
export async function removeRecords(path: string, identities: ReadonlySet<string>): Promise<void> {
  const aside = `${path}.new`;
  const source = await open(path);
  const target = await open(aside, "w");
  try {
    for await (const { bytes } of readFileLines(source, LONGEST)) {
      const record = bytes && readRecord(bytes.toString("utf8"));
      if (record && !identities.has(identityOf(record.name))) await target.write(`${bytes}\n`);
    }
    await target.sync();
  } finally {
    await source.close();
    await target.close();
  }
  await rename(aside, path);
}

/** Longest line of results, in bytes. */
const LONGEST = 64 * 2 ** 20;
