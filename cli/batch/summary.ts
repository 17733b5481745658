import type { ModelFlags } from "../options.ts";
import type { Plan } from "./plan.ts";
import { duration, rateOf } from "./progress.ts";

/** A record as it is counted. */
export interface Counted {
  ok: boolean;
  prompt_tokens?: number;
  generated_tokens?: number;
}

/** What one call of a batch did. */
export class Summary {
  readonly #plan: Plan;
  readonly #begun = performance.now();
  #asked = 0;
  #promptTokens = 0;
  #generatedTokens = 0;

  constructor(plan: Plan) {
    this.#plan = plan;
  }

  /** Takes a record of this call. */
  count({ prompt_tokens = 0, generated_tokens = 0 }: Counted): void {
    this.#asked++;
    this.#promptTokens += prompt_tokens;
    this.#generatedTokens += generated_tokens;
  }

  /** Says it: as JSON on standard output, or in a line on standard error. */
  tell(flags: ModelFlags, model: { device: string; dtype: string } | undefined): void {
    const { total, results } = this.#plan;
    const { done, failed } = results.counts;
    const milliseconds = performance.now() - this.#begun;
    if (flags.json) {
      const facts = {
        out: results.path,
        total,
        done,
        errors: failed,
        asked: this.#asked,
        model: flags.model,
        device: model?.device ?? null,
        dtype: model?.dtype ?? null,
        prompt_tokens: this.#promptTokens,
        generated_tokens: this.#generatedTokens,
        seconds: milliseconds / 1000,
        answers_per_second: rateOf(this.#asked, milliseconds),
        tokens_per_second: rateOf(this.#generatedTokens, milliseconds),
        memory: { peak_rss_bytes: process.resourceUsage().maxRSS * 1024 },
      };
      process.stdout.write(`${JSON.stringify(facts, null, 2)}\n`);
    } else if (!flags.quiet) {
      const errors = failed === 0 ? "" : `, ${failed} of them errors`;
      const rest = done < total ? "; the same command goes on with the rest" : "";
      const now = this.#asked === 0 ? "none" : String(this.#asked);
      const pace =
        this.#asked === 0
          ? ""
          : ` in ${duration(milliseconds / 1000)} (${rateOf(this.#asked, milliseconds).toFixed(1)}/s)`;
      process.stderr.write(
        `${results.path}: ${done} of ${total} results${errors}; ${now} of them new${pace}${rest}\n`,
      );
    }
  }
}
