import { CheckpointError, UnsupportedError } from "../base/errors.ts";
import { DEMO_FILES } from "./demo_files.ts";
import { HubClient } from "./http.ts";
import { idFault } from "./ids.ts";
import type { HubOptions, Repository } from "./repository.ts";
import { StaticRepository } from "./static_repository.ts";
import { createStore } from "./store_browser.ts";
import { createFetch } from "./transport_browser.ts";
import { WebRepository } from "./web_repository.ts";

/** The checkpoint inside the package. */
const DEMO = "llava-demo";
const HUB = "https://huggingface.co";

/**
 * `openRepository` in a browser. A name is an id of the Hub, an address of a folder on a web server (absolute, or
 * relative to the page with `./` or `/`), or `llava-demo`, which lies in the package beside the code.
 */
export async function open(name: string, options: HubOptions): Promise<Repository> {
  for (const option of ["cache_dir", "local_files_only"] as const) {
    if (options[option])
      throw new UnsupportedError(`'${option}' has no meaning in a browser`, { where: option });
  }
  const address = addressOf(name);
  if (address !== undefined) {
    const folder = [address, options.subfolder].filter(Boolean).join("/").replace(/\/+$/, "");
    const files = name === DEMO && !options.subfolder ? DEMO_FILES : undefined;
    return new StaticRepository(name, new HubClient(folder, undefined, createFetch()), options.signal, files);
  }
  const fault = idFault(name);
  if (fault !== undefined) {
    const message = `${name}: no such model: it is not an address, and not the id of a model on the Hugging Face Hub (${fault})`;
    throw new CheckpointError(message, { where: "name_or_path", got: name });
  }
  if (options.token === true) {
    throw new UnsupportedError(
      "'token' must be the token itself: a browser has no place that it is known from",
      {
        where: "token",
      },
    );
  }
  const token = options.token || undefined;
  const store = createStore(options.force_download);
  return WebRepository.open(name, options, new HubClient(HUB, token, createFetch()), store);
}

function addressOf(name: string): string | undefined {
  if (name === DEMO)
    return new URL(/* @vite-ignore */ "../../../checkpoints/llava-demo", import.meta.url).href;
  if (!/^(https?:|\.{0,2}\/)/.test(name) || !URL.canParse(name, location.href)) return undefined;
  return new URL(name, location.href).href.replace(/\/+$/, "");
}
