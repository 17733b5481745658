import { afterAll, describe, test } from "vitest";
import { Checkpoints, nameOf, recordedRuns, repeatRun } from "./runs.ts";

const checkpoints = new Checkpoints();
afterAll(() => checkpoints.dispose());

describe("beams as recorded in beam_runs.json", () => {
  for (const run of recordedRuns("beam_runs.json")) test(nameOf(run), () => repeatRun(checkpoints, run));
});
