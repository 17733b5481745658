import type { Command } from "commander";
import { addEvalCommand } from "../../src/eval/cli.ts";
import { UsageError } from "../errors.ts";
import { addModelFlags, type ModelFlags } from "../options.ts";
import { loadResponder } from "../responder.ts";

export function addEval(program: Command): void {
  addEvalCommand(program, {
    stdout: (text) => void process.stdout.write(text),
    stderr: (text) => void process.stderr.write(text),
    isTerminal: process.stderr.isTTY === true,
    addModelFlags: (command) => void addModelFlags(command),
    load: (flags) => loadResponder(flags as unknown as ModelFlags),
    usageError: (message) => new UsageError(message),
  });
}
