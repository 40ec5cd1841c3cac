"use strict";
// Helpers of every part: unpacking, elements whose texts are only ever texts, numbers, tables, theme, downloads.

let data = null; // what build.py gave, once it is unpacked

const byId = (id) => document.getElementById(id);

/** The text of a gzipped, base64-coded script element; the element is emptied. */
async function unpack(id) {
  const holder = byId(id);
  const bytes = Uint8Array.from(atob(holder.textContent.trim()), (c) => c.charCodeAt(0));
  holder.textContent = "";
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

/** An element; children are elements or texts, and texts stay texts whatever they hold. */
function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key in made && key !== "list") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** A name in its own direction of writing. */
const nameOf = (text) => element("bdi", {}, String(text));

const ISOLATE = "\u2068";
const ISOLATED = "\u2069";

/** A name for plotly, which reads some HTML in every text: escaped, on one line, not too long, in its own direction. */
function plotText(text, longest = 48) {
  const line = String(text).replace(/\s+/g, " ").trim();
  const letters = Array.from(line);
  const short = letters.length > longest ? letters.slice(0, longest - 1).join("") + "…" : line;
  const safe = short.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/%\{/g, "%\u200b{");
  return ISOLATE + safe + ISOLATED;
}

// ---- numbers

const known = (value) => value !== null && value !== undefined && Number.isFinite(value);
// as Python formats: ties to the even digit, and no minus before a zero
const formats = [0, 1, 2, 3].map((digits) => new Intl.NumberFormat("en-US", {
  minimumFractionDigits: digits, maximumFractionDigits: digits, useGrouping: false, roundingMode: "halfEven", signDisplay: "negative",
}));
const digital = (value, digits) => formats[digits].format(value);
const fixed = (value, digits = 1) => (known(value) ? digital(value, digits) : "–");
const general = (value) => (known(value) ? String(Number(value.toPrecision(6))) : "–");
const percent = (value, digits = 1) => (known(value) ? `${digital(100 * value, digits)} %` : "–");

function between(low, high, digits = 1, scale = 1) {
  return known(low) && known(high) ? `${digital(scale * low, digits)} to ${digital(scale * high, digits)}` : "";
}

const withInterval = (value, low, high, digits = 1, scale = 1) =>
  known(value) ? `${digital(scale * value, digits)}${known(low) ? ` (${between(low, high, digits, scale)})` : ""}` : "–";

// ---- tables: columns as build.py gives them

const tableOf = (model, name) => data.tables[model][name] || null;
const lengthOf = (table) => (table ? Object.values(table)[0].length : 0);

/** The rows (as numbers) at which every named column has the given value. */
function rowsWhere(table, wanted) {
  const rows = [];
  const tests = Object.entries(wanted);
  for (let row = 0; row < lengthOf(table); row++) {
    if (tests.every(([column, value]) => table[column][row] === value)) rows.push(row);
  }
  return rows;
}

const places = new Map();

/** The rows of a grouped table for one probe and group: its index is made once. */
function rowsOf(model, name, probe, key) {
  const table = tableOf(model, name);
  if (!table) return [];
  const id = `${model}/${name}`;
  if (!places.has(id)) {
    const index = new Map();
    const keys = table.class_index || table.group;
    table.probe.forEach((own, row) => {
      const at = JSON.stringify([own, keys[row]]);
      if (index.has(at)) index.get(at).push(row);
      else index.set(at, [row]);
    });
    places.set(id, index);
  }
  return places.get(id).get(JSON.stringify([probe, key])) || [];
}

const record = (table, row) => Object.fromEntries(Object.entries(table).map(([column, values]) => [column, values[row]]));

// ---- choices: radio groups and selects

const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`)?.value;

function whenChosen(name, act) {
  document.querySelectorAll(`input[name="${name}"]`).forEach((input) => input.addEventListener("change", act));
}

const picked = (name) => Number(document.querySelector(`select[data-pick="${name}"]`)?.value || 0);

function whenPicked(name, act) {
  document.querySelector(`select[data-pick="${name}"]`)?.addEventListener("change", act);
}

/** Fill a select with [value, text] pairs; keeps the choice where it is still there. */
function fill(select, pairs) {
  const before = select.value;
  select.replaceChildren(...pairs.map(([value, text]) => element("option", { value: String(value) }, text)));
  if (pairs.some(([value]) => String(value) === before)) select.value = before;
}

/** One tab stop for many buttons: arrows, Home and End move among those that match; at the ends the focus stays. */
function rove(holder, selector) {
  holder.addEventListener("keydown", (event) => {
    const all = [...holder.querySelectorAll(selector)];
    const at = all.indexOf(event.target);
    const top = (one) => one.getBoundingClientRect().top;
    const beside = at < 0 ? 0 : all.filter((one) => top(one) === top(all[0])).length;
    const sideways = beside > 1 ? { ArrowLeft: at - 1, ArrowRight: at + 1 } : {};
    const to = { ArrowUp: at - beside, ArrowDown: at + beside, Home: 0, End: all.length - 1, ...sideways }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    all[to]?.focus();
  });
  holder.addEventListener("focusin", (event) => {
    if (event.target.matches(selector)) tabStop(holder, selector, event.target);
  });
}

function tabStop(holder, selector, wanted) {
  holder.querySelectorAll(selector).forEach((one) => { one.tabIndex = one === wanted ? 0 : -1; });
}

/** The data URL of a small picture; undefined where there is none. */
const smallPicture = (model, image) => data.gallery.pictures[data.gallery.small[model][image]];

const radialProbes = (model) => data.models[model].probes.filter((probe) => probe.radial);
const probePairs = (model) => radialProbes(model).map((probe) => [probe.name, probe.title]);

// ---- theme

const LIGHT = ["#0072b2", "#d55e00", "#009e73", "#b8578f", "#2f8fc4", "#b87a00", "#222222"];
const DARK = ["#4aa8e0", "#f28a45", "#2fc79a", "#e29cc4", "#8fd0f5", "#f0b84a", "#ededed"];
const DASHES = ["solid", "dash", "dashdot", "dot", "longdash", "longdashdot", "solid"];

let printing = false;
const isDark = () => !printing && document.documentElement.dataset.theme === "dark";
const modelColour = (model) => (isDark() ? DARK : LIGHT)[model % LIGHT.length];
const modelDash = (model) => DASHES[model % DASHES.length];
const css = (property) => getComputedStyle(document.documentElement).getPropertyValue(property).trim();

function paintSwatches() {
  document.querySelectorAll(".swatch[data-model]").forEach((swatch) => {
    swatch.style.setProperty("--swatch", modelColour(Number(swatch.dataset.model)));
  });
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  const button = byId("theme");
  button.setAttribute("aria-pressed", String(theme === "dark"));
  button.querySelector(".word").textContent = theme === "dark" ? "Light" : "Dark";
  button.setAttribute("aria-label", `Dark colours: ${theme === "dark" ? "on" : "off"}`);
  paintSwatches();
}

// ---- downloads

function save(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = element("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 60000);
}

/** RFC 4180, in UTF-8. */
function csvOf(table) {
  const cell = (value) => {
    const text = value === null ? "" : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
  };
  const names = Object.keys(table);
  const lines = [names.map(cell).join(",")];
  for (let row = 0; row < lengthOf(table); row++) lines.push(names.map((name) => cell(table[name][row])).join(","));
  return lines.join("\r\n") + "\r\n";
}

function recordsOf(table) {
  return Array.from({ length: lengthOf(table) }, (_, row) => record(table, row));
}

const fileName = (text) => text.replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^[-.]+|[-.]+$/g, "").slice(0, 80) || "bandscope";

function listDownloads() {
  const sets = data.models.map((model, k) => [model.name, data.tables[k]]);
  if (Object.keys(data.comparison.tables).length) sets.push(["comparison", data.comparison.tables]);
  for (const [title, tables] of sets) {
    const rows = Object.entries(tables).filter(([, table]) => lengthOf(table)).map(([name, table]) => {
      const button = (kind, type, make) => element(
        "button",
        {
          type: "button", class: "download", "aria-label": `${name} of ${title} as ${kind.toUpperCase()}`,
          onclick: () => save(`${fileName(title)}-${name}.${kind}`, type, make(table)),
        },
        kind.toUpperCase(),
      );
      return element(
        "tr", {}, element("th", { scope: "row" }, name),
        element("td", { class: "number" }, lengthOf(table).toLocaleString("en")),
        element("td", {}, button("csv", "text/csv", csvOf), " ",
          button("json", "application/json", (own) => JSON.stringify(recordsOf(own), null, 1))),
      );
    });
    const head = element("tr", {}, ...["table", "rows", "download"].map((text, k) =>
      element("th", { scope: "col", class: k === 1 ? "number" : "" }, text)));
    byId("download-list").append(element(
      "div", {}, element("h3", {}, nameOf(title)),
      element("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": `Tables of ${title}` },
        element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows))),
    ));
  }
  byId("download-list").querySelectorAll("tbody").forEach((body) => {
    rove(body, ".download");
    tabStop(body, ".download", body.querySelector(".download"));
  });
  byId("everything").addEventListener("click", () => {
    const { gallery, ...rest } = data;
    const { crops, pictures, small, ...images } = gallery; // pictures are no data
    save(`${fileName(data.models.map((model) => model.name).join("-"))}.json`, "application/json",
      JSON.stringify({ ...rest, gallery: images }));
  });
}
