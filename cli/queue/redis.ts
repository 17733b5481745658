import type * as BullMq from "bullmq";
import type { Redis } from "ioredis";
import { LlavaError, UnsupportedError } from "../../src/index.ts";
import { UsageError } from "../errors.ts";

/** The queue's server cannot be used. */
export class QueueError extends LlavaError {}

/** A connection to Redis, and what works over it. */
export interface Queueing {
  redis: Redis;
  bull: typeof BullMq;
  /** The address, without its password. */
  address: string;
  close(): Promise<void>;
}

/** What keys begin with. */
export const PREFIX = "llava";

/**
 * Connects to a server.
 *
 * @throws UsageError where the address is none, QueueError where nothing answers there
 */
export async function connect(url: string): Promise<Queueing> {
  const address = describeAddress(url);
  const [bull, { Redis }] = await Promise.all([import("bullmq"), import("ioredis")]).catch((cause) => {
    throw new UnsupportedError("--queue needs two more packages: npm install bullmq ioredis", { cause });
  });
  let trouble = "no answer within 5 s";
  let connected = false;
  const redis = new Redis(url, {
    maxRetriesPerRequest: null,
    connectTimeout: 5000,
    lazyConnect: true,
    // Until the first connection stands, one try; afterwards for ever, as a server may be started again.
    retryStrategy: (times) => (connected ? Math.min(100 * times, 5000) : null),
  });
  redis.on("error", (error: Error) => {
    trouble = error.message;
  });
  try {
    await redis.connect();
    await redis.ping();
  } catch (cause) {
    redis.disconnect();
    throw new QueueError(`${address}: cannot be used (${trouble}). Is Redis running there?`, {
      where: address,
      cause,
    });
  }
  connected = true;
  let lost = false;
  redis.on("close", () => {
    if (!lost) process.stderr.write(`${address}: the connection is lost, trying again\n`);
    lost = true;
  });
  redis.on("ready", () => {
    lost = false;
  });
  const close = async (): Promise<void> => {
    redis.removeAllListeners("close");
    await redis.quit();
  };
  return { redis, bull, address, close };
}

function describeAddress(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !/^rediss?:$/.test(parsed.protocol) || parsed.hostname === "") {
    throw new UsageError("--queue: expected redis://host:port or rediss://user:password@host:port");
  }
  return `${parsed.protocol}//${parsed.host}${parsed.pathname}`;
}
