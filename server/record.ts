import { randomUUID } from "node:crypto";
import type { ApiError } from "./errors.ts";
import type { LogLine, Service } from "./service.ts";

/** What is noted of one request, for log and metrics. */
export class RequestRecord {
  readonly id = randomUUID();
  readonly facts: LogLine = {};
  readonly #service: Service;
  readonly #method: string;
  readonly #path: string;
  readonly #begin = performance.now();
  #lastToken: number | undefined;
  #finished = false;
  /** The response goes on after its headers: who writes it calls `finish`. */
  streaming = false;

  /** @param path one of the server's own, or `other`: metrics must not grow with what clients make up */
  constructor(service: Service, method: string, path: string) {
    this.#service = service;
    this.#method = method;
    this.#path = path;
  }

  token(): void {
    const { metrics } = this.#service;
    const now = performance.now();
    metrics.generatedTokens.inc();
    if (this.#lastToken === undefined) {
      metrics.firstToken.observe((now - this.#begin) / 1000);
      this.facts.first_token_ms = Math.round(now - this.#begin);
    } else metrics.betweenTokens.observe((now - this.#lastToken) / 1000);
    this.#lastToken = now;
  }

  /** Notes an error; what is not meant for clients goes to the log only. */
  failed(shown: ApiError, cause: unknown): void {
    this.facts.error = shown.code ?? shown.type;
    if (shown !== cause && shown.status >= 500 && cause instanceof Error) this.facts.detail = cause.message;
  }

  finish(status: number): void {
    if (this.#finished) return;
    this.#finished = true;
    const ms = performance.now() - this.#begin;
    const path = this.#path;
    this.#service.metrics.requests.inc({ path, status: String(status) });
    this.#service.metrics.duration.observe({ path }, ms / 1000);
    this.#service.log({
      ...{ time: new Date().toISOString(), id: this.id, method: this.#method, path, status },
      total_ms: Math.round(ms),
      ...this.facts,
    });
  }
}
