// One class or group up close: its curves beside those of all images, its band in words, usurpers and examples.

const MOST_USURPERS = 6;

function drawDetail() {
  const holder = byId("detail");
  const model = picked("explorer-model");
  const row = explorer.rows.find((own) => own.key === explorer.open);
  if (!row) {
    holder.replaceChildren(element("p", {}, "Nothing to show."));
    return;
  }
  const { noun } = level();
  const charts = element("div", { class: "charts small-charts" });
  const parts = [
    element("h3", { id: "detail-title" }, nameOf(row.name)),
    element("p", {}, sentenceOf(row, byId("explorer-probe").value)),
    charts,
    usurperList(model, noun, row),
    exampleList(model, row),
  ];
  holder.replaceChildren(...parts.filter(Boolean));
  const drawings = data.models[model].probes.map((probe) => {
    const chart = element("div", { class: "chart", "data-probe": probe.name, role: "img", "aria-label": `${probe.title}: accuracy of ${row.name} over radius` });
    charts.append(element("figure", { class: "panel" },
      element("figcaption", {}, element("strong", {}, probe.title), " ", "grey: all images"), chart));
    return () => drawGroupCurve(chart, model, noun, row, probe);
  });
  drawings.forEach((draw) => draw()); // each has its final width now
}

/** Clean accuracy and band, in words. */
function sentenceOf(row, probe) {
  const clean = known(row.accuracy)
    ? `Right on ${percent(row.accuracy)} (${between(row.accuracy_ci_low, row.accuracy_ci_high, 1, 100)}) of ${row.n.toLocaleString("en")} image${row.n === 1 ? "" : "s"} without a filter. `
    : `${row.n} images. `;
  if (!probe) return clean;
  const kind = probe.replace(/_/g, "-");
  if (!known(row.r50)) return `${clean}No ${kind} band: ${row.reason || "not measured"}.`;
  return `${clean}Its ${kind} band runs from ${fixed(row.r10)} to ${fixed(row.r90)} cycles/image, its centre r50 is ${fixed(row.r50)} (${between(row.r50_ci_low, row.r50_ci_high)}).`;
}

function drawGroupCurve(chart, model, noun, row, probe) {
  const { side } = data.models[model];
  const all = tableOf(model, "curves");
  const everything = rowsWhere(all, { probe: probe.name });
  const others = data.models.map((_, k) => k).filter((k) => k === model
    || !(hidden.has(k) || hidden.has(model)) && sameGroup(model, k, noun, row));
  const parts = others.map((k) => [k, tableOf(k, `curves_by_${noun}`), rowsOf(k, `curves_by_${noun}`, probe.name, row.key)])
    .filter(([, , rows]) => rows.length);
  const names = probe.radial ? null : bandNames([[all, everything], ...parts.map(([, table, rows]) => [table, rows])]);
  const draw = probe.radial ? curveTraces : (series) => [barTrace(series)];
  const grey = { name: "all images", colour: isDark() ? "#9a9a9a" : "#8a8a8a", width: 1.5, marker: 0 };
  const traces = draw(seriesOf(all, everything, "accuracy", placesOf(all, everything, side, names), grey)).slice(-1);
  for (const [k, table, rows] of parts) {
    const look = { name: data.models.length > 1 ? data.models[k].name : row.name, colour: modelColour(k), dash: modelDash(k) };
    const traced = draw(seriesOf(table, rows, "accuracy", placesOf(table, rows, data.models[k].side, names), look));
    traces.push(...(k === model ? traced : traced.slice(-1)));
  }
  const band = tableOf(model, `bands_by_${noun}`);
  const at = rowsOf(model, `bands_by_${noun}`, probe.name, row.key)[0];
  const shapes = [];
  if (at !== undefined && known(band.r10[at])) {
    const [low, middle, high] = ["r10", "r50", "r90"].map((name) => UNITS[unit()].value(band[name][at], side));
    shapes.push(
      { type: "rect", yref: "paper", y0: 0, y1: 1, x0: low, x1: high, fillcolor: css("--mark"), line: { width: 0 }, layer: "below" },
      upright(middle, css("--faint")),
    );
  }
  const xaxis = names ? bandAxis(names) : {
    ...radiusAxis(traces.flatMap((trace) => trace.x)), unifiedhovertitle: { text: hoverTitle() },
  };
  plot(chart, traces, layout({
    xaxis, yaxis: axis("accuracy (%)", { range: [0, 103] }), shapes, hovermode: "x unified", height: 230,
    margin: { l: 48, r: 8, t: 4, b: 42 },
  }));
}

/** Whether another model has the same class under the same output. */
function sameGroup(model, other, noun, row) {
  const at = rowsOf(other, `curves_by_${noun}`, data.models[other].probes[0]?.name, row.key)[0];
  return at !== undefined && tableOf(other, `curves_by_${noun}`).group[at] === row.group;
}

function usurperList(model, noun, row) {
  const probe = byId("explorer-probe").value;
  if (!probe) return null;
  const table = tableOf(model, `usurpers_by_${noun}`);
  const rows = rowsOf(model, `usurpers_by_${noun}`, probe, row.key);
  if (!rows.length) return element("p", { class: "usurpers" }, "No other class takes the top place once its label had it.");
  const items = rows.slice(0, MOST_USURPERS).map((at) => element(
    "li", {}, nameOf(table.usurper[at]),
    element("span", { class: "quiet" }, ` ${table.images[at]} of ${table.n[at]} images, ${percent(table.share[at], 0)} (${between(table.ci_low[at], table.ci_high[at], 0, 100)})`),
  ));
  const left = rows.length - items.length;
  return element("div", { class: "usurpers" }, element("h4", {}, "Taken over by"), element("ol", {}, ...items),
    left > 0 ? element("p", { class: "small" }, `and ${left} more`) : null);
}

function exampleList(model, row) {
  const wanted = Number.isInteger(row.key) ? [row.key] : membersOf(model, row.group);
  const found = wanted.flatMap((index) => data.gallery.examples[model][index] || []).filter((own) => smallPicture(model, own.image)).slice(0, 6);
  if (!found.length) return null;
  const items = found.map((own) => {
    const entry = data.gallery.entries.findIndex((one) => one.model === model && one.image === own.image);
    const picture = element("img", { src: smallPicture(model, own.image), alt: `${own.source}, ${own.right ? "right" : "wrong"} when clean` });
    const about = element("span", { class: "quiet" }, own.right ? "right" : "wrong");
    return element("li", { title: own.source }, entry < 0 ? picture : element("button", {
      type: "button", class: "plain", "aria-label": `Open ${own.source} in the gallery`,
      onclick: () => openEntry(entry, true),
    }, picture), about);
  });
  return element("div", { class: "examples" }, element("h4", {}, "Examples"), element("ul", {}, ...items));
}

/** The classes of a group. */
function membersOf(model, group) {
  return data.models[model].members?.[group] || [];
}
