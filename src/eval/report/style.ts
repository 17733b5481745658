/** The page's style: light and dark, by the system or by the button. */
export const STYLE = `
:root { color-scheme: light dark; --bg: #fff; --fg: #1b1d22; --dim: #646b78; --line: #dfe3ea; --card: #f6f7fa;
  --bar: #3767d6; --right: #1d7f4a; --wrong: #b93434; --part: #96670a; }
:root[data-theme="dark"] { color-scheme: dark; --bg: #14161b; --fg: #e7e9ee; --dim: #9aa2b1; --line: #2d323c;
  --card: #1c1f26; --bar: #6f9bff; --right: #56c48a; --wrong: #f08080; --part: #dfb04f; }
@media (prefers-color-scheme: dark) { :root:not([data-theme="light"]) { --bg: #14161b; --fg: #e7e9ee; --dim: #9aa2b1;
  --line: #2d323c; --card: #1c1f26; --bar: #6f9bff; --right: #56c48a; --wrong: #f08080; --part: #dfb04f; } }
:root[data-theme="light"] { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem; background: var(--bg); color: var(--fg);
  font: 15px/1.5 system-ui, sans-serif; }
header { display: flex; justify-content: space-between; align-items: start; gap: 1rem; }
h1 { font-size: 1.6rem; margin: 0 0 .3rem; } h2 { font-size: 1.25rem; margin: 0; }
.dim { color: var(--dim); } .scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; }
th, td { padding: .4rem .7rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
a { color: var(--bar); }
section { margin-top: 2.5rem; padding-top: 1.2rem; border-top: 2px solid var(--line); }
.bars { display: grid; grid-template-columns: max-content 1fr max-content; gap: .25rem .8rem; margin: 1rem 0;
  align-items: center; font-size: .9rem; }
.bars .name { max-width: 22rem; overflow-wrap: anywhere; }
.track { background: var(--card); border-radius: 3px; height: .8rem; }
.fill { background: var(--bar); border-radius: 3px; height: 100%; }
.warning { border-left: 3px solid var(--part); padding: .2rem .8rem; margin: .5rem 0; }
.filters { display: flex; flex-wrap: wrap; gap: .5rem; margin: 1rem 0; align-items: center; }
button, select, input { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line);
  border-radius: 6px; padding: .25rem .7rem; }
button[aria-pressed="true"] { border-color: var(--bar); box-shadow: inset 0 0 0 1px var(--bar); }
.items { display: grid; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); gap: .8rem; }
article { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .8rem;
  border-left: 4px solid var(--line); overflow-wrap: anywhere; }
article[data-verdict="right"] { border-left-color: var(--right); }
article[data-verdict="wrong"] { border-left-color: var(--wrong); }
article[data-verdict="part"] { border-left-color: var(--part); }
article img { display: block; max-width: 100%; max-height: 13rem; margin-bottom: .5rem; border-radius: 4px; }
article .text { white-space: pre-wrap; } article[hidden] { display: none; }
.verdict { font-weight: 600; } .right { color: var(--right); } .wrong { color: var(--wrong); } .part { color: var(--part); }
`;

/** What the page does: pictures, filters, light and dark. */
export const SCRIPT = `
const pictures = JSON.parse(document.getElementById("pictures").textContent);
for (const image of document.querySelectorAll("img[data-picture]")) image.src = pictures[image.dataset.picture];
document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
for (const section of document.querySelectorAll("section[data-run]")) {
  const articles = [...section.querySelectorAll("article")];
  const buttons = [...section.querySelectorAll("button[data-show]")];
  const group = section.querySelector("select");
  const search = section.querySelector("input");
  const counter = section.querySelector(".shown");
  let show = "all";
  const apply = () => {
    const words = search.value.toLowerCase();
    let shown = 0;
    for (const article of articles) {
      const fits = (show === "all" || article.dataset.verdict === show) &&
        (group.value === "" || article.dataset.group === group.value) &&
        article.textContent.toLowerCase().includes(words);
      article.hidden = !fits;
      if (fits) shown++;
    }
    counter.textContent = String(shown);
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.show === show));
  };
  for (const button of buttons) button.addEventListener("click", () => { show = button.dataset.show; apply(); });
  group.addEventListener("change", apply);
  search.addEventListener("input", apply);
  apply();
}
`;
