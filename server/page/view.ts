/** Parts of the page that come and go. */

/** An element that the page is known to have. */
export function byId<E extends HTMLElement>(id: string): E {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found as E;
}

function element<K extends keyof HTMLElementTagNameMap>(
  name: K,
  properties: Partial<HTMLElementTagNameMap[K]> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** A question with its pictures, as the conversation shows it. */
export function questionView(text: string, pictures: readonly string[]): HTMLElement {
  const view = element("article", { className: "question" });
  view.setAttribute("aria-label", "Question");
  if (pictures.length > 0) {
    const images = pictures.map((src, i) => element("img", { src, alt: `Picture ${i + 1} of the question` }));
    view.append(element("div", { className: "thumbs" }, ...images));
  }
  view.append(element("p", { textContent: text }));
  return view;
}

/** An answer that grows. */
export class AnswerView {
  readonly root = element("article", { className: "answer" });
  readonly #text = element("p");
  readonly #facts = element("span");
  readonly #footer: HTMLElement;

  constructor(again: () => void) {
    const copy = element("button", { type: "button", textContent: "Copy" });
    copy.addEventListener("click", () => void this.#copy(copy));
    const repeat = element("button", { type: "button", textContent: "Ask again" });
    repeat.addEventListener("click", again);
    this.#footer = element("footer", { hidden: true }, copy, repeat, this.#facts);
    this.root.setAttribute("aria-label", "Answer");
    this.root.dataset.running = "";
    document.querySelector("[data-testid=answer]")?.removeAttribute("data-testid");
    this.#text.dataset.testid = "answer";
    this.root.append(this.#text, this.#footer);
  }

  get text(): string {
    return this.#text.textContent ?? "";
  }

  add(text: string): void {
    this.#text.append(text);
    this.#text.normalize();
  }

  /** @param facts what it took */
  end(facts: string): void {
    delete this.root.dataset.running;
    this.#facts.textContent = facts;
    this.#footer.hidden = false;
  }

  /** Asking again is for the newest answer. */
  settle(): void {
    this.#footer.querySelectorAll("button")[1]?.remove();
  }

  async #copy(button: HTMLButtonElement): Promise<void> {
    try {
      await navigator.clipboard.writeText(this.text);
      button.textContent = "Copied";
    } catch {
      // Without https only this machine's own pages may write: selected, it can be copied by hand.
      getSelection()?.selectAllChildren(this.#text);
      button.textContent = "Selected";
    }
    setTimeout(() => (button.textContent = "Copy"), 1500);
  }
}

/** Pictures that go with the next question. */
export class PictureList {
  #urls: string[] = [];
  readonly #list: HTMLElement;
  readonly #fail: (message: string) => void;

  constructor(list: HTMLElement, fail: (message: string) => void) {
    this.#list = list;
    this.#fail = fail;
  }

  async add(files: Iterable<File>): Promise<void> {
    for (const file of files) {
      if (!file.type.startsWith("image/")) this.#fail(`${file.name} is no picture.`);
      else this.#urls.push(await dataUri(file));
    }
    this.#show();
  }

  /** Gives the pictures away, as data URIs. */
  take(): string[] {
    const urls = this.#urls;
    this.#urls = [];
    this.#show();
    return urls;
  }

  #show(): void {
    this.#list.replaceChildren(
      ...this.#urls.map((src, i) => {
        const remove = element("button", { type: "button", textContent: "×" });
        remove.setAttribute("aria-label", `Remove picture ${i + 1}`);
        remove.addEventListener("click", () => {
          this.#urls.splice(i, 1);
          this.#show();
        });
        return element("li", {}, element("img", { src, alt: `Picture ${i + 1}` }), remove);
      }),
    );
  }
}

function dataUri(file: File): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
