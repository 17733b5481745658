import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { HubError, OptionError } from "../base/errors.ts";
import { SLICING, type Slicing } from "./download_node.ts";
import { isMissing } from "./folder_node.ts";
import { HubClient, type Patience } from "./http.ts";
import { LOCK_TIMING, type LockTiming } from "./lock_node.ts";
import type { HubOptions } from "./repository.ts";
import { createFetch } from "./transport_node.ts";

/** The part of the process that settings come from. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Which Hub, which cache. */
export interface HubSettings {
  readonly client: HubClient;
  /** The folder of `models--*`. */
  readonly cacheDir: string;
  /** Why nothing may be downloaded, or undefined where it may. */
  readonly offline: string | undefined;
  /** Whether the cache's snapshots may be links. */
  readonly symlinks: boolean;
  readonly slicing: Slicing;
  readonly lock: LockTiming;
}

/** The settings that options and environment variables give, with huggingface_hub's names and defaults. */
export async function readSettings(
  options: HubOptions,
  environment: Environment = process.env,
  patience?: Patience,
): Promise<HubSettings> {
  const token = await findToken(options.token, environment);
  return {
    client: new HubClient(findEndpoint(environment), token, createFetch(environment), patience),
    cacheDir: findCache(environment, options.cache_dir),
    offline: whyOffline(options, environment),
    symlinks: !isTrue(environment.HF_HUB_DISABLE_SYMLINKS),
    slicing: SLICING,
    lock: LOCK_TIMING,
  };
}

/** The folder of the shared Hugging Face cache. */
export function findCache(environment: Environment = process.env, cacheDir?: string): string {
  const { HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE } = environment;
  return expand(
    cacheDir || HF_HUB_CACHE || HUGGINGFACE_HUB_CACHE || join(findHome(environment), "hub"),
    environment,
  );
}

/** The folder of what this library keeps for itself: packed copies of weights. */
export function findOwnCache(environment: Environment = process.env): string {
  const { LLAVA_CACHE, XDG_CACHE_HOME } = environment;
  return expand(LLAVA_CACHE || join(XDG_CACHE_HOME || join(homedir(), ".cache"), "llava"), environment);
}

function findHome(environment: Environment): string {
  const { HF_HOME, XDG_CACHE_HOME } = environment;
  return expand(HF_HOME || join(XDG_CACHE_HOME || join(homedir(), ".cache"), "huggingface"), environment);
}

function findEndpoint(environment: Environment): string {
  const endpoint = (environment.HF_ENDPOINT || "https://huggingface.co").replace(/\/+$/, "");
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== "" || url.search !== "") {
    throw new OptionError("HF_ENDPOINT: expected an address such as https://huggingface.co", {
      where: "HF_ENDPOINT",
      expected: "http(s)://HOST",
    });
  }
  return endpoint;
}

function whyOffline(options: HubOptions, environment: Environment): string | undefined {
  if (options.local_files_only === true) return "'local_files_only' is set";
  for (const name of ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]) {
    if (isTrue(environment[name])) return `${name} is set`;
  }
  return undefined;
}

/**
 * The token to send: the option's, or with `true`, null or nothing the one that the user has logged in with.
 * No message shows it.
 */
async function findToken(option: HubOptions["token"], environment: Environment): Promise<string | undefined> {
  if (option === false) return undefined;
  if (typeof option === "string") return checkToken(option, "token");
  if (option !== true && isTrue(environment.HF_HUB_DISABLE_IMPLICIT_TOKEN)) return undefined;
  for (const name of ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]) {
    const token = checkToken(environment[name] ?? "", name);
    if (token !== undefined) return token;
  }
  const path = expand(environment.HF_TOKEN_PATH || join(findHome(environment), "token"), environment);
  const token = checkToken(await readToken(path), path);
  if (token === undefined && option === true) {
    throw new HubError(`'token' is true, but there is none: set HF_TOKEN, or put it into ${path}`, {
      where: "token",
    });
  }
  return token;
}

async function readToken(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return "";
    throw new HubError(`the token file ${path} cannot be read`, { where: path, cause: error });
  }
}

function checkToken(text: string, where: string): string | undefined {
  const token = text.replace(/[\r\n]/g, "").trim();
  if (token === "") return undefined;
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new OptionError(`${where}: not a token: it holds spaces or characters that are not ASCII`, { where });
}

/** `~` and `$NAME` in a path, as Python's expanduser and expandvars replace them. */
function expand(path: string, environment: Environment): string {
  const home = path === "~" || path.startsWith("~/") ? homedir() + path.slice(1) : path;
  return home.replace(/\$(\w+)|\$\{(\w+)\}/g, (text, plain, braced) => environment[plain ?? braced] ?? text);
}

function isTrue(value: string | undefined): boolean {
  return /^(1|on|yes|true)$/i.test(value ?? "");
}
