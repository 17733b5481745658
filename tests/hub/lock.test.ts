import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { sleep } from "../../src/hub/http.ts";
import { withLock } from "../../src/hub/lock_node.ts";
import { folder, rejection } from "./support.ts";

const timing = { poll: 5, stale: 400 };
const lock = (): string => join(folder(), "deep/er", "a.lock");
const holder = (host: string, pid: number): string => JSON.stringify({ host, pid, id: "x" });

test("only one at a time, and each gets its turn", async () => {
  const path = lock();
  let [inside, most, runs] = [0, 0, 0];
  const work = async (): Promise<void> => {
    most = Math.max(most, ++inside);
    await sleep(5);
    inside--;
    runs++;
  };
  await Promise.all(Array.from({ length: 5 }, () => withLock(path, work, { timing })));
  expect([most, runs]).toEqual([1, 5]);
  expect(existsSync(path)).toBe(false);
});

test("is given back after a failure, and gives results through", async () => {
  const path = lock();
  const error = new Error("no");
  expect(await rejection(withLock(path, () => Promise.reject(error), { timing }))).toBe(error);
  expect(await withLock(path, async () => 7, { timing })).toBe(7);
});

test("a long work keeps its lock", async () => {
  const path = lock();
  const order: string[] = [];
  const long = withLock(
    path,
    async () => {
      await sleep(2 * timing.stale);
      order.push("long");
    },
    { timing },
  );
  await sleep(20);
  await withLock(path, async () => order.push("second"), { timing });
  await long;
  expect(order).toEqual(["long", "second"]);
});

test("the lock of a process that is no more is taken over at once", async () => {
  const path = join(folder(), "a.lock");
  const { pid } = spawnSync(process.execPath, ["-e", ""]);
  writeFileSync(path, holder(hostname(), pid));
  const began = performance.now();
  await withLock(path, async () => {}, { timing: { poll: 5, stale: 60_000 } });
  expect(performance.now() - began).toBeLessThan(1000);
});

test.each([
  ["of another host that was not renewed", holder("elsewhere", 1)],
  ["without a holder", ""],
  ["of a living process that was not renewed", holder(hostname(), process.pid)],
])("a lock %s is taken over when it is old, not before", async (_, text) => {
  const path = join(folder(), "a.lock");
  writeFileSync(path, text);
  const waiting = withLock(path, async () => readFileSync(path, "utf8"), { timing });
  await sleep(50);
  expect(readFileSync(path, "utf8")).toBe(text);
  const old = new Date(Date.now() - 10_000);
  utimesSync(path, old, old);
  expect(await waiting).not.toBe(text);
});

test("many that find an old lock still go one by one", async () => {
  const path = join(folder(), "a.lock");
  writeFileSync(path, "");
  const old = new Date(Date.now() - 10_000);
  utimesSync(path, old, old);
  let [inside, most] = [0, 0];
  const work = async (): Promise<void> => {
    most = Math.max(most, ++inside);
    await sleep(3);
    inside--;
  };
  await Promise.all(Array.from({ length: 8 }, () => withLock(path, work, { timing })));
  expect(most).toBe(1);
});

test("waiting ends when it is aborted", async () => {
  const path = join(folder(), "a.lock");
  writeFileSync(path, holder("elsewhere", 1));
  const reason = new Error("enough");
  const controller = new AbortController();
  setTimeout(() => controller.abort(reason), 20);
  const options = { signal: controller.signal, timing: { poll: 5, stale: 60_000 } };
  expect(await rejection(withLock(path, async () => {}, options))).toBe(reason);
});
