"""The style and the script of the pages below `/openapi`: nothing is loaded from elsewhere."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root {
  color-scheme: light dark;
  --paper: #fbfbf9; --sheet: #fff; --ink: #1c2024; --soft: #5d6672; --line: #e2e4e0;
  --accent: #0b6b57; --accent-ink: #fff; --field: #f5f6f3;
  --good: #17693a; --bad: #a8281f; --warn: #875a00;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  --mono: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171a; --sheet: #1b1f23; --ink: #e6e8ea; --soft: #9aa4af; --line: #2d3339;
    --accent: #4cc2a4; --accent-ink: #06231c; --field: #14181b;
    --good: #62c98b; --bad: #f0857c; --warn: #dfb154;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 var(--sans); }
main, header { max-width: 68rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2.25rem; }
main { padding-bottom: 4rem; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0; text-wrap: balance;
     overflow-wrap: anywhere; }
h1 small { font-size: .875rem; font-weight: 500; color: var(--soft); white-space: nowrap; }
.lead { color: var(--soft); margin: .35rem 0 0; }
.words { white-space: pre-line; max-width: 46rem; overflow-wrap: anywhere; }
a { color: var(--accent); text-underline-offset: .2em; }
code, pre, textarea, .mono { font-family: var(--mono); font-size: .84rem; }
.bar { position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; gap: .6rem;
       padding: .8rem 0; background: var(--paper); border-bottom: 1px solid var(--line);
       margin: 1.25rem 0 1rem; }
.bar label { flex: 1 1 14rem; }
input, textarea { width: 100%; color: inherit; background: var(--field);
  border: 1px solid var(--line); border-radius: 8px; padding: .55rem .7rem; font-size: 1rem; }
input { font-family: inherit; }
textarea { min-height: 8rem; resize: vertical; line-height: 1.5; font-size: .84rem;
  display: block; tab-size: 2; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.sr { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.card { background: var(--sheet); border: 1px solid var(--line); border-radius: 12px;
        margin: 0 0 .6rem; scroll-margin-top: 5rem; }
summary { cursor: pointer; list-style: none; }
summary::-webkit-details-marker { display: none; }
.card > summary { display: grid; grid-template-columns: auto 1fr auto; gap: .1rem .75rem;
  align-items: baseline; padding: .8rem 1rem; border-radius: 12px; }
.card > summary::before { content: ""; width: .5rem; height: .5rem; margin-top: .5rem;
  align-self: start; border: solid var(--soft); border-width: 0 2px 2px 0;
  transform: rotate(-45deg); transition: transform .12s; }
.card[open] > summary::before { transform: rotate(45deg); }
.name { font-family: var(--mono); font-weight: 600; font-size: .95rem; overflow-wrap: anywhere; }
.title { grid-column: 2 / -1; color: var(--soft); font-size: .9rem; overflow: hidden;
  text-overflow: ellipsis; white-space: nowrap; }
.card[open] .title { white-space: normal; }
.card[open] .title.echo { display: none; }
.marks { display: flex; gap: .35rem; flex-wrap: wrap; justify-content: flex-end; }
.mark { font-size: .72rem; border: 1px solid currentColor; border-radius: 99px;
  padding: 0 .5rem; line-height: 1.5; white-space: nowrap; color: var(--soft); }
.mark.good { color: var(--good); } .mark.bad { color: var(--bad); }
.inside { padding: 0 1rem 1.1rem; display: grid; gap: 1.5rem; }
.inside > * { min-width: 0; }
.inside p:first-child { margin-top: .2rem; }
@media (min-width: 56rem) {
  .inside { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); }
  .try { border-left: 1px solid var(--line); padding-left: 1.5rem; }
}
@media (max-width: 40rem) {
  .bar { position: static; }
  .card { scroll-margin-top: .6rem; }
  .marks { grid-column: 2 / -1; grid-row: 3; justify-content: flex-start; padding-top: .3rem; }
  .marks:empty { display: none; }
}
h2, h3 { font-size: .8rem; letter-spacing: .02em; color: var(--soft); font-weight: 600;
  margin: 1.1rem 0 .4rem; }
.try h3:first-child { margin-top: .2rem; }
dl { margin: 0; }
dt { padding-top: .55rem; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
dt:first-child { border-top: 0; padding-top: 0; }
dt .mono { font-weight: 600; }
dt .type { color: var(--soft); font-size: .84rem; margin-left: .35rem; }
dt .must { color: var(--warn); font-size: .84rem; margin-left: .35rem; }
dd { margin: 0 0 .55rem; font-size: .92rem; white-space: pre-line; overflow-wrap: anywhere; }
dd .aside { color: var(--soft); }
pre { margin: 0; padding: .7rem .8rem; background: var(--field); border: 1px solid var(--line);
  border-radius: 8px; overflow: auto; max-height: 28rem; white-space: pre-wrap;
  overflow-wrap: anywhere; }
.schema > summary { color: var(--accent); font-size: .9rem; margin-top: .9rem; width: max-content; }
.schema pre { margin-top: .4rem; }
.row { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; margin-top: .6rem; }
button { font: inherit; font-size: .92rem; border-radius: 8px; padding: .42rem .9rem;
  border: 1px solid var(--line); background: transparent; color: inherit; cursor: pointer; }
button.send { background: var(--accent); border-color: var(--accent); color: var(--accent-ink);
  font-weight: 600; }
button:disabled { opacity: .55; cursor: default; }
.outcome { margin-top: .9rem; }
.status { font-weight: 600; margin: 0 0 .4rem; font-size: .92rem; }
.status.good { color: var(--good); } .status.bad { color: var(--bad); }
.status span { color: var(--soft); font-weight: 400; }
.outcome img { max-width: 100%; border-radius: 8px; display: block; }
.outcome audio { width: 100%; }
.none { color: var(--soft); padding: 2rem 0; }
ul.servers { list-style: none; padding: 0; margin: 1.25rem 0 0; }
ul.servers li { padding: .9rem 1rem; display: flex; flex-wrap: wrap; gap: .2rem 1rem;
  align-items: baseline; }
ul.servers .name { font-size: 1rem; }
ul.servers .links { margin-left: auto; display: flex; gap: 1rem; }
[hidden] { display: none !important; }
@media (prefers-reduced-motion: reduce) { * { transition: none !important; } }
"""

SCRIPT: Final = """
"use strict";
const all = (selector, within) => Array.from((within || document).querySelectorAll(selector));
const one = (selector, within) => (within || document).querySelector(selector);
const cards = all(".card[data-words]");
const token = one("#token");
const filter = one("#filter");
const pretty = (text) => {
  try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; }
};
if (filter) {
  const apply = () => {
    const wanted = filter.value.toLowerCase().split(/\\s+/).filter(Boolean);
    let shown = 0;
    for (const card of cards) {
      card.hidden = !wanted.every((word) => card.dataset.words.includes(word));
      shown += card.hidden ? 0 : 1;
    }
    one("#nothing").hidden = shown > 0;
  };
  filter.addEventListener("input", apply);
  apply();
}
const openLinked = () => {
  const card = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (card && card.matches("details")) { card.open = true; card.scrollIntoView(); }
};
addEventListener("hashchange", openLinked);
openLinked();
const show = async (box, answer, took) => {
  const kind = answer.headers.get("content-type") || "";
  const line = document.createElement("p");
  line.className = "status " + (answer.ok ? "good" : "bad");
  line.textContent = (answer.status + " " + answer.statusText).trim() + " ";
  const more = document.createElement("span");
  more.textContent = Math.round(took) + " ms, " + (kind || "no body");
  line.append(more);
  let body;
  if (kind.startsWith("image/") || kind.startsWith("audio/")) {
    body = document.createElement(kind.startsWith("image/") ? "img" : "audio");
    body.src = URL.createObjectURL(await answer.blob());
    if (body.tagName === "IMG") { body.alt = "The tool's image"; } else { body.controls = true; }
  } else {
    body = document.createElement("pre");
    body.textContent = pretty(await answer.text());
  }
  box.replaceChildren(line, body);
};
for (const form of all("form.try")) {
  const area = one("textarea", form);
  const box = one(".outcome", form);
  const send = one("button.send", form);
  for (const button of all("button[data-body]", form)) {
    button.addEventListener("click", () => { area.value = button.dataset.body; area.focus(); });
  }
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { form.requestSubmit(); }
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const fail = (words) => {
      const line = document.createElement("p");
      line.className = "status bad";
      line.textContent = words;
      box.replaceChildren(line);
    };
    try { JSON.parse(area.value.trim() || "{}"); } catch (error) {
      fail("The body is not JSON: " + error.message);
      area.focus();
      return;
    }
    const headers = { "Content-Type": "application/json",
      "Accept": "image/*, audio/*, application/json;q=0.9" };
    if (token && token.value) { headers.Authorization = "Bearer " + token.value; }
    send.disabled = true;
    send.textContent = "Sending";
    const start = performance.now();
    try {
      const answer = await fetch(form.dataset.path, { method: "POST", headers,
        body: area.value.trim() || "{}", credentials: "same-origin" });
      await show(box, answer, performance.now() - start);
    } catch (error) {
      fail("No answer: " + error.message);
    } finally {
      send.disabled = false;
      send.textContent = "Send";
    }
  });
}
"""
