import { ask, type Health, health, type Message, type Part, ServerError } from "./client.ts";
import { AnswerView, byId, PictureList, questionView } from "./view.ts";

type State = "loading" | "ready" | "busy" | "error";

const POLL_MS = 500;

const log = byId("log");
const prompt = byId<HTMLTextAreaElement>("prompt");
const askButton = byId<HTMLButtonElement>("ask");
const stopButton = byId<HTMLButtonElement>("stop");
const models = byId<HTMLSelectElement>("model");
const key = byId<HTMLInputElement>("key");
const pictures = new PictureList(byId("pictures"), showError);

let history: Message[] = [];
let newest: AnswerView | undefined;
let running: AbortController | undefined;

function setState(state: State): void {
  const status = byId("status");
  status.textContent = state;
  status.dataset.state = state;
  askButton.disabled = state === "loading" || state === "busy";
  stopButton.disabled = state !== "busy";
}

function showError(message: string): void {
  const place = byId("error");
  place.textContent = message;
  place.hidden = message === "";
}

/** The device of the chosen model, as far as it is loaded. */
function showDevice({ models: served }: Health): void {
  const chosen = served.find(({ id }) => id === models.value);
  byId("device").textContent = chosen?.loaded ? `${chosen.device}, ${chosen.dtype}` : "";
}

async function refresh(): Promise<void> {
  try {
    showDevice(await health());
  } catch {
    // The next question says what is wrong.
  }
}

/** Waits until the server is ready. */
async function start(): Promise<void> {
  for (;;) {
    const state = await health();
    if (models.options.length === 0) {
      for (const { id } of state.models) models.append(new Option(id, id));
      models.disabled = state.models.length < 2;
    }
    if (state.status === "ok") {
      showDevice(state);
      return setState("ready");
    }
    if (state.status !== "loading") throw new Error("The server cannot load its model; its log says why.");
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function question(): void {
  const text = prompt.value.trim() || prompt.placeholder;
  const urls = pictures.take();
  prompt.value = "";
  byId("welcome").hidden = true;
  const parts: Part[] = urls.map((url) => ({ type: "image_url", image_url: { url } }));
  history.push({ role: "user", content: [...parts, { type: "text", text }] });
  log.append(questionView(text, urls));
  void answer();
}

/** Answers the last message of the conversation. */
async function answer(): Promise<void> {
  newest?.settle();
  const asked = history;
  const view = new AnswerView(() => again(view));
  newest = view;
  log.append(view.root);
  view.root.scrollIntoView({ block: "end" });
  showError("");
  setState("busy");
  const controller = new AbortController();
  running = controller;
  const begin = performance.now();
  let first = 0;
  let state: State = "ready";
  let facts = "stopped";
  try {
    const usage = await ask({
      model: models.value,
      messages: asked,
      key: key.value,
      signal: controller.signal,
      onText: (text) => {
        first ||= performance.now();
        // Who has scrolled up to read is left there.
        const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
        view.add(text);
        if (atEnd) log.scrollTop = log.scrollHeight;
      },
    });
    const seconds = (performance.now() - first) / 1000;
    const tokens = usage?.completion_tokens ?? 0;
    const speed = seconds > 0 && tokens > 1 ? `, ${((tokens - 1) / seconds).toFixed(0)} tokens/s` : "";
    facts =
      `${tokens} tokens${speed}, first after ${((first - begin) / 1000).toFixed(2)} s, ` +
      `prompt ${usage?.prompt_tokens ?? 0} tokens`;
  } catch (error) {
    if (!controller.signal.aborted) {
      state = "error";
      facts = "failed";
      if (error instanceof ServerError && error.status === 401) byId("key-row").hidden = false;
      showError(error instanceof ServerError ? error.message : "The server cannot be reached.");
    }
  }
  view.end(facts);
  if (history === asked) {
    running = undefined;
    if (view.text !== "") history.push({ role: "assistant", content: view.text });
    byId("announce").textContent = view.text;
    setState(state);
    log.scrollTop = log.scrollHeight;
  }
  await refresh();
}

/** The same question once more, in the place of its answer. */
function again(view: AnswerView): void {
  if (running) return;
  if (history.at(-1)?.role === "assistant") history.pop();
  view.root.remove();
  void answer();
}

function newChat(): void {
  running?.abort();
  running = undefined;
  history = [];
  newest = undefined;
  for (const article of log.querySelectorAll("article")) article.remove();
  byId("welcome").hidden = false;
  showError("");
  setState("ready");
  prompt.focus();
}

function wire(): void {
  byId("form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!askButton.disabled) question();
  });
  prompt.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!askButton.disabled) question();
  });
  stopButton.addEventListener("click", () => running?.abort());
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") running?.abort();
  });
  byId("new").addEventListener("click", newChat);
  models.addEventListener("change", () => void refresh());
  const input = byId<HTMLInputElement>("image");
  input.addEventListener("change", async () => {
    await pictures.add(input.files ?? []);
    input.value = "";
    prompt.focus();
  });
  document.addEventListener("paste", (event) => void pictures.add(event.clipboardData?.files ?? []));
  const dragging = (on: boolean) => (event: DragEvent) => {
    event.preventDefault();
    document.body.toggleAttribute("data-dragging", on);
  };
  document.addEventListener("dragover", dragging(true));
  document.addEventListener("dragleave", dragging(false));
  document.addEventListener("drop", (event) => {
    dragging(false)(event);
    void pictures.add(event.dataTransfer?.files ?? []);
  });
}

wire();
start().catch((error: unknown) => {
  setState("error");
  showError(error instanceof Error ? error.message : String(error));
});
