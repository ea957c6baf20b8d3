// Looks at the page in the frame of this document, and gives what it found to the title as JSON.
"use strict";
const frame = document.querySelector("iframe");

// [red, green, blue, alpha]; 0 to 255, and 0 to 1
const parsed = colour => {
  const parts = (colour.match(/-?[\d.]+(e-?\d+)?/g) ?? []).map(Number);
  const scale = colour.startsWith("color(") ? 255 : 1;
  return [...parts.slice(0, 3).map(part => part * scale), parts[3] ?? 1];
};

// Relative luminance, as WCAG 2.2 defines it.
const luminance = colour => {
  const linear = colour.slice(0, 3).map(part => part / 255)
    .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
};

const contrast = (one, other) => {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
};

const seen = element => {
  const box = element.getBoundingClientRect();
  return box.width > 1 && box.height > 1;
};

const look = typed => {
  const page = frame.contentDocument, view = frame.contentWindow;
  const style = element => view.getComputedStyle(element);
  const ground = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parsed(style(at).backgroundColor);
      if (colour[3] > 0) return colour;
    }
    return [255, 255, 255, 1];
  };
  for (const folded of page.querySelectorAll("details")) folded.open = true;

  const texts = [], walker = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    const hidden = ["script", "style", "noscript", "title"].includes(element.localName);
    if (!text || hidden || !seen(element)) continue;
    const chart = element.ownerSVGElement;
    const colour = parsed(chart ? style(element).fill : style(element).color);
    const zoom = chart ? chart.getBoundingClientRect().width / chart.viewBox.baseVal.width : 1;
    const pixels = zoom * parseFloat(style(element).fontSize);
    texts.push([text.slice(0, 40), +pixels.toFixed(1), +contrast(colour, ground(element)).toFixed(2)]);
  }

  const width = page.documentElement.clientWidth;
  const right = element => element.getBoundingClientRect().right;
  const outside = [...page.querySelectorAll("main *")]
    .filter(one => seen(one) && !one.closest(".scroll, thead, pre") && right(one) > width + 1);
  const search = page.getElementById("search");
  const answers = typed.map(text => {
    const input = page.getElementById("user");
    input.value = text;
    input.dispatchEvent(new view.Event("input"));
    return [".found", ".result"].map(part => search.querySelector(part).innerText);
  });
  return {
    dark: view.matchMedia("(prefers-color-scheme: dark)").matches,
    width, texts, answers,
    overflow: page.documentElement.scrollWidth - width,
    outside: outside.slice(0, 5).map(element => element.outerHTML.slice(0, 120)),
    ndcg: [...page.querySelectorAll('#metrics td[data-label="NDCG@10"]')].map(right),
    charts: [...page.querySelectorAll("svg.chart")].map(
      chart => [...chart.querySelectorAll("circle, path, rect, polyline")].filter(seen).length),
    searching: search !== null && !search.hidden,
    images: page.querySelectorAll("img").length,
  };
};
