import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Admission } from "./admission.ts";
import type { BodyBudget } from "./body_budget.ts";
import type { ModelPool, Reuse } from "./model_pool.ts";

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

/** What `/metrics` shows. */
export class Metrics {
  readonly registry = new Registry();
  readonly requests = this.#counter("llava_requests_total", "Requests answered.", ["path", "status"]);
  readonly promptTokens = this.#counter("llava_prompt_tokens_total", "Tokens of prompts, pictures included.");
  readonly generatedTokens = this.#counter("llava_generated_tokens_total", "Tokens generated.");
  readonly duration = this.#histogram("llava_request_duration_seconds", "From request to the last byte.", [
    "path",
  ]);
  readonly queueTime = this.#histogram("llava_queue_seconds", "Waiting for a place.");
  readonly firstToken = this.#histogram(
    "llava_time_to_first_token_seconds",
    "From request to the first token.",
  );
  readonly betweenTokens = this.#histogram("llava_time_between_tokens_seconds", "From token to token.");

  #counter(name: string, help: string, labelNames: string[] = []): Counter {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }

  #histogram(name: string, help: string, labelNames: string[] = []): Histogram {
    return new Histogram({ name, help, labelNames, buckets: SECONDS, registers: [this.registry] });
  }

  #gauge(name: string, help: string, read: () => number): void {
    const collect = function (this: Gauge): void {
      this.set(read());
    };
    new Gauge({ name, help, registers: [this.registry], collect });
  }

  /** A counter that is kept elsewhere. */
  #total(name: string, help: string, read: () => number): void {
    const collect = function (this: Counter): void {
      this.reset();
      this.inc(read());
    };
    new Counter({ name, help, registers: [this.registry], collect });
  }

  /** Watches what has a state of its own. */
  watch(admission: Admission, bodies: BodyBudget, pool: ModelPool): void {
    const sum = (of: (resident: (typeof pool.residents)[number]) => number): number =>
      pool.residents.reduce((total, resident) => total + of(resident), 0);
    this.#gauge("llava_requests_running", "Requests being computed.", () => admission.running);
    this.#gauge("llava_requests_waiting", "Requests in line.", () => admission.waiting);
    this.#gauge("llava_request_body_bytes", "Bodies being read or in line.", () => bodies.bytes);
    this.#gauge("llava_models_loaded", "Models in memory.", () => pool.residents.length);
    this.#gauge("llava_model_bytes", "Weights and caches of the models in memory.", () =>
      sum(({ model }) => model.deviceBytes),
    );
    this.#gauge("llava_picture_cache_bytes", "Features of pictures that are kept.", () =>
      sum(({ model }) => model.caches.pictures.bytes),
    );
    this.#gauge("llava_prompt_cache_bytes", "Keys and values that are kept of prompts.", () =>
      sum(({ model }) => model.caches.prompts.bytes),
    );
    const reuse = (name: string, help: string, of: keyof Reuse): void =>
      this.#total(name, help, () => pool.reuse[of]);
    reuse("llava_picture_cache_hits_total", "Pictures that had been looked at.", "pictureHits");
    reuse("llava_picture_cache_misses_total", "Pictures that had to be looked at.", "pictureMisses");
    reuse("llava_prompt_cache_hits_total", "Prompts whose beginning had been computed.", "promptHits");
    reuse("llava_prompt_cache_misses_total", "Prompts that were computed whole.", "promptMisses");
    reuse(
      "llava_prompt_cache_tokens_total",
      "Tokens of prompts that were not computed again.",
      "promptTokens",
    );
    this.#gauge("process_resident_memory_bytes", "Memory of the process.", () => process.memoryUsage.rss());
    this.#gauge("nodejs_heap_size_total_bytes", "The heap.", () => process.memoryUsage().heapTotal);
    this.#gauge("nodejs_heap_size_used_bytes", "Used of the heap.", () => process.memoryUsage().heapUsed);
    this.#gauge("nodejs_external_memory_bytes", "Beside the heap.", () => process.memoryUsage().external);
  }
}
