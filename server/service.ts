import { Admission } from "./admission.ts";
import { BodyBudget } from "./body_budget.ts";
import { ApiError } from "./errors.ts";
import type { Limits } from "./limits.ts";
import { Metrics } from "./metrics.ts";
import { ModelPool, type Resident, type ServedModel } from "./model_pool.ts";
import { PictureCache } from "./picture_cache.ts";
import { RemotePictures, type Resolve } from "./remote_pictures.ts";

/** What the log says of a request: one line, without any of its text. */
export interface LogLine {
  [field: string]: string | number | boolean | null | undefined;
}

export interface ServiceOptions {
  models: readonly ServedModel[];
  limits: Limits;
  /** Hosts that pictures are fetched from; none: only data URIs are taken. */
  imageHosts?: readonly string[];
  resolve?: Resolve;
  log: (line: LogLine) => void;
}

/** A request that is being answered. */
export interface Task {
  resident: Resident;
  /** Aborts when the client is gone, time is up, or the server ends. */
  signal: AbortSignal;
  /** Milliseconds in line. */
  queueMs: number;
  /** Gives place and model back. */
  done: () => void;
}

/** What answers requests, without HTTP. */
export class Service {
  readonly limits: Limits;
  readonly pool: ModelPool;
  readonly admission: Admission;
  readonly bodies: BodyBudget;
  readonly metrics = new Metrics();
  readonly remote: RemotePictures;
  readonly pictures = new PictureCache();
  readonly log: (line: LogLine) => void;
  /** One for each request. No signal is shared by all: whatever listened to it would be kept for ever. */
  readonly #running = new Set<AbortController>();
  #closing = false;
  #ready = false;
  #failure: string | undefined;

  constructor({ models, limits, imageHosts, resolve, log }: ServiceOptions) {
    this.limits = limits;
    this.log = log;
    this.admission = new Admission(limits.running, limits.queued);
    this.bodies = new BodyBudget(limits.bodiesBytes);
    this.remote = new RemotePictures(imageHosts, resolve);
    this.pool = new ModelPool(models, {
      modelBytes: limits.modelBytes,
      onError: (id, error) => {
        log({
          event: "model_failed",
          model: id,
          error: error instanceof Error ? error.message : String(error),
        });
      },
    });
    this.metrics.watch(this.admission, this.bodies, this.pool);
  }

  /** `ok` once the first model was there: one may leave before another comes. */
  get state(): "loading" | "ok" | "failed" | "closing" {
    if (this.#closing) return "closing";
    if (this.#ready) return "ok";
    return this.#failure === undefined ? "loading" : "failed";
  }

  /**
   * Loads the first model, so that the first request need not wait.
   *
   * @throws why it cannot be loaded
   */
  async warmUp(): Promise<void> {
    try {
      const { release } = await this.pool.acquire(this.pool.ids[0], new AbortController().signal);
      release();
      this.#ready = true;
    } catch (error) {
      this.#failure = String(error);
      throw error instanceof ApiError ? (error.cause ?? error) : error;
    }
  }

  /**
   * Waits for a place and for the model.
   *
   * @param signal aborts when the client is gone
   * @throws ApiError 429 where too many wait, 503 while the server ends, 504 where time is up
   */
  async begin(model: string, client: AbortSignal): Promise<Task> {
    const id = this.pool.idOf(model);
    if (this.#closing) throw closing();
    const controller = new AbortController();
    const { signal } = controller;
    const leave = (): void => controller.abort(client.reason);
    const { deadlineMs } = this.limits;
    const timer = setTimeout(() => {
      const message = `No whole answer within ${deadlineMs / 1000} s.`;
      controller.abort(new ApiError(504, message, { code: "timeout" }));
    }, deadlineMs);
    if (client.aborted) leave();
    else client.addEventListener("abort", leave, { once: true });
    this.#running.add(controller);
    const undo: (() => void)[] = [
      () => {
        clearTimeout(timer);
        client.removeEventListener("abort", leave);
        this.#running.delete(controller);
      },
    ];
    const done = (): void => {
      for (const step of undo.splice(0).reverse()) step();
    };
    try {
      const begin = performance.now();
      undo.push(await this.admission.enter(signal));
      const queueMs = performance.now() - begin;
      this.metrics.queueTime.observe(queueMs / 1000);
      const { resident, release } = await this.pool.acquire(id, signal);
      undo.push(release);
      this.#ready = true;
      return { resident, signal, queueMs, done };
    } catch (error) {
      done();
      throw error;
    }
  }

  /** Takes no new requests. */
  close(): void {
    this.#closing = true;
  }

  /** Ends the requests that still run. */
  abort(): void {
    for (const controller of this.#running) controller.abort(closing());
  }
}

function closing(): ApiError {
  return new ApiError(503, "The server is shutting down.", { code: "shutting_down" });
}
