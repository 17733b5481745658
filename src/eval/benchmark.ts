// What a benchmark is made of. A new one is one file in benchmarks/ with such an object, and its line in registry.ts.

import type { Json, Writable } from "./python/json.ts";

/** A picture of a question, read when it is asked. */
export interface PictureFile {
  /** What to call it in an error, and where the report finds it: a path, or a row of a table. */
  name: string;
  read(): Promise<Uint8Array>;
}

/** One question as the model is asked it, and as its answer line tells it. */
export interface Question {
  /** As in the question file. */
  id: Json;
  /** The message, without the picture's line before it. */
  text: string;
  picture: PictureFile | null;
  /** The answer line's `prompt`. */
  prompt: string;
  /** Further fields of the answer line: after its `question_id`, and after its `text`. */
  afterId?: Record<string, Writable>;
  afterText?: Record<string, Writable>;
}

export interface QuestionFiles {
  questions: string;
  images?: string | undefined;
  /** MMBench: ask every row as often as it has options, the options turned by one each time. */
  allRounds?: boolean | undefined;
}

/** One entry of a question file: the questions to ask of it, each made when its turn comes. */
export type Entry = readonly (() => Question)[];

/** The files of a scoring or converting call. Which of them a benchmark needs stands in its `needs`. */
export interface Files {
  answers: string;
  questions?: string | undefined;
  annotations?: string | undefined;
  split?: string | undefined;
}

/** Where the words of a call go. */
export interface Printer {
  /** What the original prints, line ends included. */
  print(text: string): void;
  /** What somebody should know who reads the figure. */
  warn(text: string): void;
}

/** How one question went, for the report. */
export interface Item {
  id: string;
  group: string;
  question: string;
  /** Null where it was not answered. */
  answer: string | null;
  expected: string;
  /** 0 wrong to 1 right. */
  score: number;
}

/** A part of the figure: a category, a question type. */
export interface Part {
  name: string;
  /** On the figure's scale. */
  value: number;
  count: number;
}

export interface Scored {
  /** The figures by name: numbers, or texts with the printed digits. */
  scores: Record<string, unknown>;
  /** The published figure's counterpart. */
  figure: number;
  parts: Part[];
  items: Item[];
  /** More than the figures, by name. */
  details?: Record<string, unknown>;
}

export type FileName = "questions" | "annotations";

export interface Scorer {
  needs: readonly FileName[];
  /** @throws BenchmarkError where the original stops */
  score(files: Files, printer: Printer): Promise<Scored>;
}

/** A file for an evaluation server. */
export interface Upload {
  /** Its name where a folder was asked for; null: that of the answers, with the converter's ending. */
  name: string | null;
  bytes: Uint8Array | string;
}

export interface Converter {
  needs: readonly FileName[];
  /** The ending of the upload's file, or undefined where it is a folder of several. */
  extension: string | undefined;
  /**
   * Hands out the files in order, each when it is complete; before it throws, what the original would have written.
   *
   * @throws BenchmarkError where the original stops
   */
  convert(files: Files, printer: Printer): AsyncIterable<Upload>;
}

export interface JudgeFiles {
  answers?: string | undefined;
  questions?: string | undefined;
  annotations?: string | undefined;
  context?: string | undefined;
  rule?: string | undefined;
  reference?: string | undefined;
  judgePrompt?: string | undefined;
  /** How often each answer is judged. */
  runs: number;
  /** Replies of the judge, or reviews or grades made of them. */
  replies?: string | undefined;
  /** Where reviews or grades are kept. LLaVA-Bench goes on after the reviews that are there already. */
  record?: string | undefined;
  /** LLaVA-Bench: questions to leave out of the means. */
  ignore: readonly number[];
}

export interface Judged {
  /** The requests, in order, each as the judge's service takes it. */
  requests: Iterable<Writable>;
  /** Where replies were given: reviews or grades as the original keeps them. */
  record?: { text: string; append: boolean };
  /** The figures; undefined where there are no replies yet. */
  scored?: Scored;
  /** How many replies are missing: `requests` are theirs. */
  missing?: number;
}

/** @throws BenchmarkError where the original stops, OptionError where a file is needed and not named */
export type Judge = (files: JudgeFiles, printer: Printer) => Promise<Judged>;

/** The published models' figures. */
export interface Published {
  "LLaVA-1.5 7B": number;
  "LLaVA-1.5 13B": number;
}

export interface Benchmark {
  name: string;
  title: string;
  /** What its figure is: "accuracy, %". */
  figure: string;
  /** The best possible figure. */
  best: number;
  published: Published | null;
  maxNewTokens: number;
  /** The fields of the generation settings that the original leaves out. */
  settings?: "short";
  /** Pictures are padded as they are, and converted to RGB after it. */
  padsUnconverted?: boolean;
  questions(files: QuestionFiles): Promise<Entry[]>;
  scorer?: Scorer;
  converter?: Converter;
  judge?: Judge;
}
