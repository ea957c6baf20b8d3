"use strict";
(() => {
  const { texts, items, users } = JSON.parse(document.getElementById("searched").textContent);
  const box = document.getElementById("search");
  const input = box.querySelector("input"), found = box.querySelector(".found"), result = box.querySelector(".result");
  const ids = Object.keys(users), SHOWN = 8;

  // Everything that data says goes in as text, never as markup.
  const make = (tag, kind, ...content) => {
    const element = document.createElement(tag);
    if (kind) element.className = kind;
    element.append(...content);
    return element;
  };
  const line = (item, score, extra, before) => {
    const [title, genres] = items[item].map(place => texts[place]);
    const what = make("span", "what", title, ...extra.filter(one => one.className === "tier"));
    if (genres) what.append(make("span", "genres", genres));
    what.append(...extra.filter(one => one.className !== "tier"));
    return make("li", "", ...before, what, make("span", "score", score));
  };
  const card = id => {
    const [ratings, best, list] = users[id];
    const title = make("h3", "", id + " ", make("span", "side", ratings.toLocaleString("en") + (ratings === 1 ? " rating" : " ratings")));
    const rated = make("ul", "", ...best.map(([item, rating]) => line(item, String(rating), [], [])));
    const got = make("ol", "", ...list.map(([item, score, tier, reasons], i) => line(item, score.toFixed(2), [
      ...(tier ? [make("span", "tier", "by " + texts[tier])] : []),
      ...(reasons.length ? [make("span", "reason", "because of " + reasons.map(place => texts[place]).join(", "))] : []),
    ], [make("span", "rank", String(i + 1))])));
    if (!list.length) got.append(make("li", "", make("span", "what side", "nothing is left that they have not rated")));
    return make("div", "person", title, make("div", "", make("h4", "", "rated best"), rated), make("div", "", make("h4", "", "recommended"), got));
  };
  const show = id => { input.value = id; look(); };
  const look = () => {
    const typed = input.value.trim(), low = typed.toLowerCase();
    found.replaceChildren();
    result.replaceChildren();
    if (!typed) return;
    if (Object.hasOwn(users, typed)) { result.append(card(typed)); return; }
    const like = ids.filter(id => id.toLowerCase().includes(low));
    for (const id of like.slice(0, SHOWN)) {
      const button = make("button", "", id);
      button.type = "button";
      button.addEventListener("click", () => show(id));
      found.append(button);
    }
    if (like.length > SHOWN) found.append("and " + (like.length - SHOWN) + " more");
    if (!like.length) found.append("none of these users");
  };
  input.addEventListener("input", look);
  box.hidden = false;
})();
