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
    const wanted = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
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
