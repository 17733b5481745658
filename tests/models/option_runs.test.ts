import { afterAll, describe, test } from "vitest";
import { Checkpoints, nameOf, recordedRuns, repeatRun } from "./runs.ts";

const checkpoints = new Checkpoints();
afterAll(() => checkpoints.dispose());

describe.each(["beam_runs.json", "cached_runs.json", "option_runs.json"])(
  "generate as recorded in %s",
  (file) => {
    for (const run of recordedRuns(file)) test(nameOf(run), () => repeatRun(checkpoints, run));
  },
);
