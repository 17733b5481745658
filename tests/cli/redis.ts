import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { connect, createServer } from "node:net";

/** Whether there is a redis-server to test with. REQUIRE_REDIS=1 makes its absence a failure. */
export const HAS_REDIS =
  process.env.REQUIRE_REDIS === "1" || spawnSync("redis-server", ["--version"]).status === 0;

export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

/** Resolves when something listens. */
async function untilOpen(port: number): Promise<void> {
  for (;;) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1");
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
      socket.once("connect", () => socket.destroy());
    });
    if (isOpen) return;
    await new Promise((done) => setTimeout(done, 20));
  }
}

/** Starts a server that keeps nothing on the disk. */
export async function startRedis(folder: string): Promise<{ url: string; server: ChildProcess }> {
  const port = await freePort();
  const args = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder];
  const server = spawn("redis-server", args, { stdio: "ignore" });
  const failed = new Promise<never>((_, reject) => server.once("error", reject));
  await Promise.race([untilOpen(port), failed]);
  return { url: `redis://127.0.0.1:${port}`, server };
}
