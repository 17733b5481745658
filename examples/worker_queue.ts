/**
 * Pictures through a queue of your own, with BullMQ: one process puts them in, any number of others answer.
 * (`llava batch --queue` and `llava worker` are a whole such system.)
 *
 *   node --import ./scripts/typescript.mjs examples/worker_queue.ts work
 *   node --import ./scripts/typescript.mjs examples/worker_queue.ts ask PICTURE...
 *
 * REDIS_URL says where Redis is; redis://127.0.0.1:6379 without it.
 */
import { readFile } from "node:fs/promises";
import { Queue, QueueEvents, Worker } from "bullmq";
import { Redis } from "ioredis";
import { AutoProcessor, LlavaForConditionalGeneration } from "llava";

interface Question {
  /** The picture's file, in base64. */
  picture: string;
  prompt: string;
}

const QUEUE = "pictures";
const connection = new Redis(process.env.REDIS_URL ?? "redis://127.0.0.1:6379", {
  maxRetriesPerRequest: null,
});

async function work(): Promise<void> {
  const name = process.env.LLAVA_MODEL ?? "llava-demo";
  const model = await LlavaForConditionalGeneration.from_pretrained(name);
  const processor = await AutoProcessor.from_pretrained(name);
  const answer = async ({ picture, prompt }: Question): Promise<string> => {
    const content = [
      { type: "image", base64: picture },
      { type: "text", text: prompt },
    ];
    const inputs = await processor.apply_chat_template([{ role: "user", content }], {
      add_generation_prompt: true,
      tokenize: true,
      return_dict: true,
    });
    const ids = await model.generate({ ...inputs, max_new_tokens: 200 });
    const generated = Array.from(ids.data, Number).slice(inputs.input_ids.shape[1]);
    return processor.decode(generated, { skip_special_tokens: true });
  };
  // Eight jobs at once: their tokens are computed together.
  const worker = new Worker<Question, string>(QUEUE, (job) => answer(job.data), {
    connection,
    concurrency: 8,
  });
  worker.on("failed", (job, error) => console.error(`${job?.name}: ${error.message}`));
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.once(signal, async () => {
      await worker.close();
      await model.dispose();
      await connection.quit();
    });
  }
}

async function ask(paths: readonly string[]): Promise<void> {
  const queue = new Queue<Question, string>(QUEUE, { connection });
  const events = new QueueEvents(QUEUE, { connection });
  const jobs = await Promise.all(
    paths.map(async (path) => {
      const data = { picture: await readFile(path, "base64"), prompt: "Describe this picture." };
      // What fails is tried again, after one second and after two.
      return queue.add(path, data, { attempts: 3, backoff: { type: "exponential", delay: 1000 } });
    }),
  );
  for (const job of jobs) console.log(`${job.name}: ${await job.waitUntilFinished(events)}`);
  await events.close();
  await queue.close();
  await connection.quit();
}

const [command, ...paths] = process.argv.slice(2);
if (command === "work") await work();
else await ask(paths);
