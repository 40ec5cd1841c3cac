// The gallery: telling images, a slider over the audited radii, and what the network says at each.

const viewer = { entry: null, view: 0 };
const MOST_STRIP = 6;

const entriesOf = (model, kind) => data.gallery.entries
  .map((entry, at) => [entry, at])
  .filter(([entry]) => entry.model === model && entry.kinds.some((told) => told.kind === kind));

function drawThumbs(open) {
  const kind = chosen("kind");
  const about = data.gallery.kinds.find((own) => own.kind === kind);
  byId("kind-about").textContent = about ? about.about : "";
  const found = entriesOf(picked("gallery-model"), kind);
  byId("thumbs").replaceChildren(...found.map(([entry, at]) => element("li", {}, thumbButton(entry, at))));
  if (!found.length) byId("thumbs").append(element("li", { class: "none" }, "None in this audit."));
  if (open && found.length) openEntry(found[0][1], false);
  else stopAtOpen();
}

/** The keyboard comes to the image that is open, or else to the first. */
function stopAtOpen() {
  const thumbs = byId("thumbs");
  tabStop(thumbs, ".thumb", thumbs.querySelector('[aria-pressed="true"]') || thumbs.querySelector(".thumb"));
}

function thumbButton(entry, at) {
  const source = smallPicture(entry.model, entry.image);
  return element(
    "button",
    { type: "button", class: "thumb", "aria-pressed": String(at === viewer.entry), "data-entry": String(at), title: entry.source, onclick: () => openEntry(at, false) },
    source ? element("img", { src: source, alt: "" }) : element("span", { class: "no-picture", "aria-hidden": "true" }, "–"),
    element("span", { class: "thumb-name" }, nameOf(entry.label)),
  );
}

/** Show an image; `go`: bring the gallery into view. */
function openEntry(at, go) {
  const entry = data.gallery.entries[at];
  viewer.entry = at;
  viewer.view = 0;
  if (go) {
    const select = document.querySelector('select[data-pick="gallery-model"]');
    if (select) select.value = String(entry.model);
    const radio = document.querySelector(`input[name="kind"][value="${entry.kinds[0]?.kind}"]`);
    if (radio) radio.checked = true;
    drawThumbs(false);
    byId("images").scrollIntoView();
    byId("stage").focus({ preventScroll: true });
  }
  document.querySelectorAll(".thumb").forEach((button) => button.setAttribute("aria-pressed", String(Number(button.dataset.entry) === at)));
  stopAtOpen();
  byId("stage-title").replaceChildren(nameOf(entry.label));
  const told = entry.kinds.find((own) => own.kind === chosen("kind")) || entry.kinds[0];
  byId("stage-about").replaceChildren(told ? told.text : "Stands for all images in the first screen.", element("span", { class: "path" }, nameOf(entry.source)));
  fill(byId("stage-probe"), probePairs(entry.model));
  fill(byId("stage-view"), entry.views.map((view, k) => [k, view.name || "the ordinary crop"]));
  byId("view-pick").hidden = entry.views.length < 2;
  showView();
}

const viewNow = () => data.gallery.entries[viewer.entry].views[viewer.view];
const probeNow = () => data.models[data.gallery.entries[viewer.entry].model].probes.find((probe) => probe.name === byId("stage-probe").value);

/** Places of the slider: the audited radii, and the clean image at the end where nothing is removed. */
function stops() {
  const radii = viewNow().curves[probeNow().name].radius;
  return probeNow().kind === "low_pass" ? [...radii, Infinity] : [-Infinity, ...radii];
}

function showView() {
  const slider = byId("radius");
  const places = stops();
  const told = data.gallery.entries[viewer.entry].kinds.find((own) => own.kind === chosen("kind"));
  slider.max = String(places.length - 1);
  slider.value = String(startOf(told, places));
  moveSlider();
}

/** Where to begin: where the image tells what it tells, a step before a late onset; without that in the middle. */
function startOf(told, places) {
  if (!told) return Math.floor(places.length / 2);
  const distance = (radius) => (Number.isFinite(radius) ? Math.abs(radius - told.radius) : Infinity);
  const nearest = places.reduce((best, radius, k) => (distance(radius) < distance(places[best]) ? k : best), 0);
  const step = probeNow().kind === "low_pass" ? -1 : 1;
  return told.kind === "late" ? Math.max(0, nearest + step) : nearest;
}

function moveSlider() {
  const entry = data.gallery.entries[viewer.entry];
  const probe = probeNow();
  const place = Number(byId("radius").value);
  const radius = stops()[place];
  const text = radiusText(probe, radius, place);
  byId("radius-text").replaceChildren(...text);
  byId("radius").setAttribute("aria-valuetext", Number.isFinite(radius) ? `${general(radius)} cycles per image` : "no filter");
  const view = viewNow();
  byId("canvas").hidden = !view.crop;
  byId("no-canvas").hidden = Boolean(view.crop);
  if (view.crop) paint(byId("canvas"), view.crop, entry.model, probe, Number.isFinite(radius) ? radius : Infinity);
  linkLens(entry, probe, radius);
  drawStage(radius);
}

/** The command that starts the lens, and its address with this picture. */
function linkLens(entry, probe, radius) {
  const { lens } = data.models[entry.model];
  const asked = new URLSearchParams({ image: entry.source });
  if (Number.isFinite(radius)) asked.set(probe.kind, general(radius));
  else asked.set("filter", "none");
  if (Number.isFinite(radius) && probe.family !== "ideal") asked.set("family", probe.family);
  if (viewNow().name.startsWith("zoom ")) asked.set("zoom", viewNow().name.slice("zoom ".length));
  byId("lens").hidden = !lens;
  byId("lens").querySelector("code").textContent = lens;
  byId("lens").querySelector("a").href = `http://127.0.0.1:7860/?${asked}`;
}

/** What is shown and what the network says to it. */
function radiusText(probe, radius, place) {
  const entry = data.gallery.entries[viewer.entry];
  const view = viewNow();
  const label = nameOf(entry.label);
  if (!Number.isFinite(radius)) {
    const { clean } = view;
    return [element("strong", {}, "No filter. "), label, ` ${percent(clean.probability)}; on top: `, nameOf(clean.top), ` ${percent(clean.top_probability)}.`];
  }
  const curve = view.curves[probe.name];
  const at = probe.kind === "low_pass" ? place : place - 1;
  const { side } = data.models[entry.model];
  const period = radius > 0 ? `, waves of ${fixed(side / radius)} pixels and ${probe.kind === "low_pass" ? "longer" : "shorter"}` : "";
  return [
    element("strong", {}, `${probe.title} ${general(radius)} cycles/image`), `${period}. `, label,
    ` ${percent(curve.classes[0].probability[at])}; on top: `, nameOf(curve.top[at]), ` ${percent(curve.top_probability[at])}.`,
  ];
}

function drawStage(radius) {
  const entry = data.gallery.entries[viewer.entry];
  const { side } = data.models[entry.model];
  const curve = viewNow().curves[probeNow().name];
  const place = (value) => UNITS[unit()].value(value, side);
  const colours = isDark() ? DARK : LIGHT;
  const traces = curve.classes.map((own, k) => ({
    type: "scatter", mode: "lines+markers", name: plotText(own.name, 26), x: curve.radius.map(place), y: own.probability.map((p) => (known(p) ? 100 * p : null)),
    line: { color: colours[k], width: k ? 1.5 : 2.8, dash: DASHES[k] }, marker: { size: 4, color: colours[k] },
    hovertemplate: `${plotText(own.name, 26)} %{y:.1f} %<extra></extra>`,
  }));
  const shapes = Number.isFinite(radius) && known(place(radius)) ? [upright(place(radius), css("--ink"))] : [];
  plot(byId("stage-chart"), traces, layout({
    xaxis: { ...radiusAxis(curve.radius.map(place)), unifiedhovertitle: { text: hoverTitle() } },
    yaxis: axis("probability (%)", { range: [-1, 103] }), shapes, hovermode: "x unified", height: 360, showlegend: true,
    legend: { orientation: "h", x: 0, y: -0.15, yanchor: "top", font: { size: 12 }, itemclick: false, itemdoubleclick: false },
    margin: { l: 48, r: 8, t: 8, b: 96 },
  }));
}

// ---- the strip of the first screen

async function drawStrip() {
  const at = data.gallery.typical.find((own) => own !== null && own !== undefined);
  if (at === undefined) return;
  const entry = data.gallery.entries[at];
  const view = entry.views[0];
  if (!view.crop) return;
  byId("strip").hidden = false;
  byId("strip-caption").replaceChildren(
    "What that looks like: ", nameOf(entry.label), ", filtered; below each picture the share of all images that ", nameOf(data.models[entry.model].name), " gets right.",
  );
  for (const row of document.querySelectorAll(".strip-row")) {
    const probe = radialProbes(entry.model).find((own) => own.kind === row.dataset.kind);
    if (!probe) continue;
    const table = tableOf(entry.model, "curves");
    const rows = rowsWhere(table, { probe: probe.name });
    const shown = stripRows(rows, table);
    row.append(element("h3", {}, probe.title));
    for (const own of shown) {
      const canvas = element("canvas", { role: "img", "aria-label": `${probe.title} at ${general(table.radius[own])} cycles/image` });
      row.append(element("div", { class: "frame" }, canvas, element("p", {}, element("b", {}, percent(table.accuracy[own])), element("span", { class: "quiet" }, ` r = ${general(table.radius[own])}`))));
      await paint(canvas, view.crop, entry.model, probe, table.radius[own]);
      await new Promise((resolve) => setTimeout(resolve)); // let the page answer in between
    }
  }
}

/** Six radii, even by accuracy: where the curve does most. */
function stripRows(rows, table) {
  const usable = rows.filter((row) => table.radius[row] > 0);
  if (usable.length <= MOST_STRIP) return usable;
  const values = usable.map((row) => table.accuracy[row]);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const found = new Set();
  for (let k = 0; k < MOST_STRIP; k++) {
    const wanted = low + ((high - low) * k) / (MOST_STRIP - 1);
    const free = usable.map((row, at) => at).filter((own) => !found.has(own));
    found.add(free.reduce((best, own) => (Math.abs(values[own] - wanted) < Math.abs(values[best] - wanted) ? own : best)));
  }
  return [...found].sort((a, b) => a - b).map((own) => usable[own]);
}

function startViewer() {
  drawStrip();
  if (!byId("thumbs")) return;
  rove(byId("thumbs"), ".thumb");
  byId("radius").addEventListener("input", moveSlider);
  byId("stage-probe").addEventListener("change", showView);
  byId("stage-view").addEventListener("change", () => {
    viewer.view = Number(byId("stage-view").value);
    showView();
  });
  whenChosen("kind", () => drawThumbs(true));
  whenPicked("gallery-model", () => drawThumbs(true));
  drawThumbs(true);
  drawn.push(() => { if (viewer.entry !== null) drawStage(stops()[Number(byId("radius").value)]); });
}
