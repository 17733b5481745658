/** The published LLaVA benchmarks: `import { run, score, convert, judge, report } from "llava/eval"`. */
export { RecordFileError } from "../base/append_file_node.ts";
export { type ConvertOptions, type ConvertResult, convert } from "./convert.ts";
export { BenchmarkError } from "./errors.ts";
export { type JudgeOptions, type JudgeResult, judge } from "./judge.ts";
export { NAMES as BENCHMARK_NAMES } from "./registry.ts";
export { type ReportOptions, type ReportResult, report } from "./report/report.ts";
export type { EvalRequest, GenerateSettings, Responder } from "./responder.ts";
export { type RunOptions, type RunProgress, type RunResult, run } from "./run.ts";
export { type ScoreOptions, type ScoreResult, score } from "./score.ts";
