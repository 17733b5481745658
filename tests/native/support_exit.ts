/* A process of its own: begins a step that would take minutes, and ends in the way that it is told. */
import { writeSync } from "node:fs";
import { commandBytes, writeCommands } from "../../src/codegen/commands.ts";
import { program } from "../../src/codegen/ir.ts";
import { openEngine } from "../../src/devices/native/engine.ts";
import { NativeWorkers } from "../../src/devices/native/workers.ts";

const engine = openEngine();
if ("reason" in engine) throw new Error(engine.reason);
const slow = program("slow", engine.target, [], (b) => {
  const sum = b.accF32(0);
  b.repeat(1_000_000, () => sum.add(b.f32(1)));
  b.scratch().store(0, sum);
});
const memory = engine.allocate(4096);
const commands = [{ program: engine.compile(slow), block: 0, tiles: 1_000_000 }];
writeCommands(new DataView(memory.array(Uint8Array, 0, 4096).buffer, 0, commandBytes(1)), commands);
const pool = await NativeWorkers.start(engine, 2);
pool.run(memory.address, 1).catch(() => {});
await new Promise((resolve) => setTimeout(resolve, 30));
writeSync(1, "computing\n");
process.exitCode = 7;
switch (process.argv[2]) {
  case "process.exit":
    process.exit();
    break;
  case "SIGINT":
    process.kill(process.pid, "SIGINT");
    break;
  default:
    // Nothing keeps the process alive once the step has ended.
    pool.abort();
}
