import type { AutoProcessor, LlavaForConditionalGeneration } from "../src/index.ts";
import { orAborted } from "./abort.ts";
import { ApiError } from "./errors.ts";
import { KeptPrompts } from "./kept_prompts.ts";

/** A model with its processor. */
export interface Loaded {
  model: LlavaForConditionalGeneration;
  processor: Awaited<ReturnType<typeof AutoProcessor.from_pretrained>>;
}

/** A model that is served. */
export interface ServedModel {
  /** What clients call it. */
  id: string;
  /** Other names that clients may use. */
  aliases?: readonly string[];
  /** Bytes that it will take, as far as that is known before loading. */
  estimate(): Promise<number>;
  load(): Promise<Loaded>;
}

/** A model that is in memory. */
export interface Resident extends Loaded {
  id: string;
  /** What was made of conversations; undefined where the template writes the time, too. */
  prompts: KeptPrompts | undefined;
}

/** How often what models keep of pictures and prompts was of use. */
export interface Reuse {
  pictureHits: number;
  pictureMisses: number;
  promptHits: number;
  promptMisses: number;
  /** Tokens of prompts that were not computed again. */
  promptTokens: number;
}

interface Entry {
  served: ServedModel;
  resident?: Resident;
  loading?: Promise<Resident>;
  /** Requests that use it, and those that wait until it is loaded. */
  users: number;
  waiting: number;
  lastUsed: number;
  /** It takes no more requests: another model waits for its memory. */
  leaving: boolean;
  /** When it could not be loaded, and what clients are told. */
  failed?: { at: number; error: ApiError };
}

/** Seconds in which a model that could not be loaded is not tried again: to try may mean to unload others. */
const RETRY_SECONDS = 10;

export interface PoolOptions {
  modelBytes: number;
  /** Told why a model could not be loaded; clients are not. */
  onError?: (id: string, error: unknown) => void;
}

/** The models that are served: loaded when first asked for, the least recently used unloaded where memory ends. */
export class ModelPool {
  readonly #entries = new Map<string, Entry>();
  readonly #names = new Map<string, string>();
  readonly #options: PoolOptions;
  /** One model at a time is loaded, so that two of them do not both take the last memory. */
  #loading: Promise<unknown> = Promise.resolve();
  #wakeUp: () => void = () => {};
  #clock = 0;
  /** Of models that were unloaded. */
  #past: Reuse = { pictureHits: 0, pictureMisses: 0, promptHits: 0, promptMisses: 0, promptTokens: 0 };

  constructor(models: readonly ServedModel[], options: PoolOptions) {
    this.#options = options;
    for (const served of models) {
      this.#entries.set(served.id, { served, users: 0, waiting: 0, lastUsed: 0, leaving: false });
      for (const name of [served.id, ...(served.aliases ?? [])]) this.#names.set(name, served.id);
    }
  }

  get ids(): string[] {
    return [...this.#entries.keys()];
  }

  /** What is in memory. */
  get residents(): Resident[] {
    return [...this.#entries.values()].flatMap(({ resident }) => resident ?? []);
  }

  /** Since the start, of models that were unloaded, too. */
  get reuse(): Reuse {
    return this.residents.map(reuseOf).reduce(sum, this.#past);
  }

  /** The id of a model that is served. @throws ApiError 404 for any other name */
  idOf(name: string): string {
    const id = this.#names.get(name);
    if (id !== undefined) return id;
    throw new ApiError(404, "This model is not served here. GET /v1/models lists those that are.", {
      param: "model",
      code: "model_not_found",
    });
  }

  /**
   * A model for a request, loaded if need be. `release` when the request is done.
   *
   * @throws ApiError 503 where it cannot be loaded; the signal's reason where that aborts before
   */
  async acquire(id: string, signal: AbortSignal): Promise<{ resident: Resident; release: () => void }> {
    const entry = this.#entries.get(this.idOf(id)) as Entry;
    entry.lastUsed = ++this.#clock;
    const resident = entry.resident && !entry.leaving ? entry.resident : await this.#loaded(entry, signal);
    entry.users++;
    const release = (): void => {
      entry.users--;
      this.#wakeUp();
    };
    return { resident, release };
  }

  async #loaded(entry: Entry, signal: AbortSignal): Promise<Resident> {
    entry.waiting++;
    try {
      return await orAborted(this.#load(entry), signal);
    } finally {
      entry.waiting--;
    }
  }

  /** Gives all memory back. */
  async dispose(): Promise<void> {
    await this.#loading.catch(() => {});
    for (const entry of this.#entries.values()) await this.#unload(entry);
  }

  #load(entry: Entry): Promise<Resident> {
    if (entry.loading) return entry.loading;
    const turn = this.#loading.catch(() => {}).then(() => this.#loadNow(entry));
    this.#loading = turn;
    entry.loading = turn.finally(() => {
      entry.loading = undefined;
    });
    return entry.loading;
  }

  async #loadNow(entry: Entry): Promise<Resident> {
    const { served, failed } = entry;
    if (entry.resident) return entry.resident; // it was to leave, and other memory was found
    if (failed && performance.now() - failed.at < 1000 * RETRY_SECONDS) throw failed.error;
    try {
      if (Number.isFinite(this.#options.modelBytes)) await this.#makeRoom(await served.estimate());
      const loaded = await served.load();
      // To resize a picture takes longer than a step of a small model, and all requests wait meanwhile.
      loaded.processor.image_processor.keepPrepared();
      entry.resident = { ...loaded, id: served.id, prompts: keptPrompts(loaded) };
      return entry.resident;
    } catch (cause) {
      this.#options.onError?.(served.id, cause);
      const error = new ApiError(503, "This model could not be loaded. The server's log says why.", {
        code: "model_not_loaded",
        headers: { "Retry-After": String(RETRY_SECONDS) },
        cause,
      });
      entry.failed = { at: performance.now(), error };
      throw error;
    }
  }

  /**
   * Unloads models that nobody uses until there is room, or nothing else is loaded. Where all are in use, the least
   * recently used takes no more requests, so that its memory comes free however many ask for it.
   */
  async #makeRoom(bytes: number): Promise<void> {
    try {
      while (this.residents.length > 0) {
        const used = this.residents.reduce((sum, { model }) => sum + model.deviceBytes, 0);
        if (used + bytes <= this.#options.modelBytes) return;
        const loaded = [...this.#entries.values()]
          .filter(({ resident }) => resident)
          .sort((a, b) => a.lastUsed - b.lastUsed);
        const idle = loaded.find(({ users, waiting, leaving }) => users === 0 && (leaving || waiting === 0));
        if (idle) await this.#unload(idle);
        else {
          if (!loaded.some(({ leaving }) => leaving)) loaded[0].leaving = true;
          await new Promise<void>((resolve) => (this.#wakeUp = resolve));
        }
      }
    } finally {
      for (const entry of this.#entries.values()) entry.leaving = false;
    }
  }

  async #unload(entry: Entry): Promise<void> {
    const { resident } = entry;
    if (!resident) return;
    this.#past = sum(this.#past, reuseOf(resident));
    entry.resident = undefined;
    await resident.model.dispose();
  }
}

function reuseOf({ model }: Resident): Reuse {
  const { pictures, prompts } = model.caches;
  return {
    pictureHits: pictures.hits,
    pictureMisses: pictures.misses,
    promptHits: prompts.hits,
    promptMisses: prompts.misses,
    promptTokens: prompts.tokens,
  };
}

function sum(a: Reuse, b: Reuse): Reuse {
  return {
    pictureHits: a.pictureHits + b.pictureHits,
    pictureMisses: a.pictureMisses + b.pictureMisses,
    promptHits: a.promptHits + b.promptHits,
    promptMisses: a.promptMisses + b.promptMisses,
    promptTokens: a.promptTokens + b.promptTokens,
  };
}

function keptPrompts({ processor }: Loaded): KeptPrompts | undefined {
  const templates = JSON.stringify([processor.chat_template, processor.tokenizer.chat_template]);
  return templates.includes("strftime_now") ? undefined : new KeptPrompts();
}
