import { Chat } from "./chat.ts";
import { readSettings } from "./settings.ts";

type State = "loading" | "ready" | "busy" | "error";

/** An element of the page, which is there. */
function element<E extends HTMLElement>(id: string, type: new () => E): E {
  const found = document.getElementById(id);
  if (found instanceof type) return found;
  throw new Error(`the page has no ${id}`);
}

const form = element("form", HTMLFormElement);
const picture = element("picture", HTMLLabelElement);
const hint = element("picture-hint", HTMLSpanElement);
const preview = element("preview", HTMLImageElement);
const input = element("image", HTMLInputElement);
const prompt = element("prompt", HTMLTextAreaElement);
const ask = element("ask", HTMLButtonElement);
const stop = element("stop", HTMLButtonElement);
const progress = element("progress", HTMLProgressElement);
const message = element("message", HTMLParagraphElement);
const answer = element("answer", HTMLParagraphElement);
const figures = element("figures", HTMLParagraphElement);

let chat: Chat | undefined;
let chosen: File | undefined;
let running: AbortController | undefined;

function setState(state: State): void {
  document.body.dataset.state = state;
  element("status", HTMLSpanElement).textContent = state;
  ask.disabled = chat === undefined || state === "busy";
  stop.disabled = state !== "busy";
  answer.setAttribute("aria-busy", String(state === "busy"));
}

function setMessage(text: string): void {
  message.textContent = text;
  message.hidden = text === "";
}

function fail(error: unknown): void {
  setMessage(error instanceof Error ? error.message : String(error));
  setState("error");
}

function choose(file: File | undefined): void {
  if (!file) return;
  if (preview.src) URL.revokeObjectURL(preview.src);
  chosen = file;
  preview.src = URL.createObjectURL(file);
  preview.alt = `The picture that is asked about: ${file.name}`;
  preview.hidden = false;
  hint.hidden = true;
  answer.textContent = "";
  figures.textContent = "";
}

/** Asks, and shows the words as they come. What was said before a stop stays. */
async function answerQuestion(): Promise<void> {
  const question = prompt.value.trim();
  if (!chat || running || question === "") {
    if (question === "") prompt.focus();
    return;
  }
  running = new AbortController();
  setMessage("");
  answer.textContent = "";
  figures.textContent = "";
  setState("busy");
  const begin = performance.now();
  try {
    const tokens = await chat.ask(chosen, question, (words) => answer.append(words), running.signal);
    const seconds = (performance.now() - begin) / 1000;
    figures.textContent = `${tokens} tokens in ${seconds.toFixed(1)} s`;
    setState("ready");
  } catch (error) {
    if (running.signal.aborted) setState("ready");
    else fail(error);
  } finally {
    running = undefined;
  }
}

async function load(): Promise<void> {
  const settings = readSettings(location.search);
  element("model", HTMLSpanElement).textContent = settings.model;
  progress.hidden = false;
  try {
    chat = await Chat.open(settings, ({ loaded, total }) => {
      if (total > 0) progress.value = loaded / total;
    });
    element("device", HTMLSpanElement).textContent = chat.device;
    setState("ready");
  } catch (error) {
    fail(error);
  } finally {
    progress.hidden = true;
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  void answerQuestion();
});
prompt.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  void answerQuestion();
});
stop.addEventListener("click", () => running?.abort());
input.addEventListener("change", () => choose(input.files?.[0]));
picture.addEventListener("dragover", (event) => {
  event.preventDefault();
  picture.classList.add("over");
});
picture.addEventListener("dragleave", () => picture.classList.remove("over"));
picture.addEventListener("drop", (event) => {
  event.preventDefault();
  picture.classList.remove("over");
  choose(event.dataTransfer?.files[0]);
});

setState("loading");
void load();
