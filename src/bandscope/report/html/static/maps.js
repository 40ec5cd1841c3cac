// Maps and points: groups x radius, band against accuracy, scale x radius.

// Viridis, by Smith and van der Walt (CC0), at nine places.
const VIRIDIS = ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"]
  .map((colour, k) => [k / 8, colour]);
const FEW_ROWS = 60;
const NAMED_POINTS = 40;

const colourBar = (title) => ({
  title: { text: title, side: "right", font: { size: 11, color: css("--quiet") } }, thickness: 10, outlinewidth: 0,
  tickfont: { size: 11, color: css("--quiet") }, len: 1,
});

/** Borders of the cells around centres: half way, by ratio on a log axis. */
function cellEdges(centres, log) {
  if (log) return cellEdges(centres.map(Math.log2), false).map((value) => 2 ** value);
  if (centres.length === 1) return [centres[0] * 0.9 - 0.1, centres[0] * 1.1 + 0.1];
  const middle = centres.slice(1).map((value, k) => (value + centres[k]) / 2);
  return [2 * centres[0] - middle[0], ...middle, 2 * centres.at(-1) - middle.at(-1)];
}

function edgesAxis(edges) {
  const log = unit() === "octave";
  const more = log ? {} : { range: [edges[0], edges.at(-1)] };
  const made = radiusAxis(edges.map((edge) => Math.max(edge, log ? 1e-9 : 0)), 1);
  return { ...made, title: { ...made.title, text: UNITS[unit()].title }, showgrid: false, ...more };
}

// ---- groups x radius

function drawMap() {
  const model = picked("map-model");
  const { noun } = data.models[model].levels[0];
  const probe = byId("map-probe").value;
  const holder = byId("map-chart");
  const table = tableOf(model, `curves_by_${noun}`);
  if (!table || !probe) {
    holder.replaceChildren("There is no probe over radius.");
    return;
  }
  const order = byId("map-order").value;
  const rows = sorted(groupRows(model, noun, probe), order, order === "accuracy").reverse();
  const { side } = data.models[model];
  const cells = rows.map((row) => rowsOf(model, `curves_by_${noun}`, probe, row.key));
  const log = unit() === "octave";
  const use = (cells[0] || []).filter((at) => !log || table.radius[at] > 0).map((at) => cells[0].indexOf(at));
  const radii = use.map((k) => table.radius[cells[0][k]]);
  const edges = cellEdges(radii.map((radius) => UNITS[unit()].value(radius, side)), log);
  const few = rows.length <= FEW_ROWS;
  const narrow = window.innerWidth < 700;
  const names = rows.map((row) => plotText(row.name, narrow ? 16 : 30));
  const traces = [{
    type: "heatmap", x: edges, y: rows.map((_, k) => k), zmin: 0, zmax: 100, colorscale: VIRIDIS,
    z: cells.map((row) => use.map((k) => (known(table.accuracy[row[k]]) ? 100 * table.accuracy[row[k]] : null))),
    customdata: cells.map((row, k) => use.map((c) => `${plotText(rows[k].name)}<br>radius ${general(table.radius[row[c]])} cycles/image<br>${withInterval(table.accuracy[row[c]], table.ci_low[row[c]], table.ci_high[row[c]], 1, 100)} % of ${rows[k].n}`)),
    hovertemplate: "%{customdata}<extra></extra>", colorbar: colourBar("accuracy (%)"), ygap: few ? 1 : 0,
  }, ...bandMarks(rows, side, few)];
  const height = few ? Math.max(200, 22 * rows.length + 70) : 720;
  plot(holder, traces, layout({
    xaxis: edgesAxis(edges),
    yaxis: axis(few ? "" : `${rows.length} ${data.models[model].levels[0].plural}`, {
      tickvals: few ? rows.map((_, k) => k) : [], ticktext: names, showgrid: false, range: [-0.5, rows.length - 0.5], automargin: true,
    }),
    height, margin: { l: 40, r: 8, t: 6, b: 48 }, hovermode: "closest",
  }));
  holder.removeAllListeners?.("plotly_click");
  holder.on?.("plotly_click", (event) => openFromChart(model, 0, rows[Math.round(event.points[0].y)].key));
}

function bandMarks(rows, side, few) {
  const marked = rows.map((row, k) => [row, k]).filter(([row]) => known(row.r50));
  const at = (name) => marked.map(([row]) => UNITS[unit()].value(row[name], side));
  const places = marked.map(([, k]) => k);
  const mark = { type: "scatter", hoverinfo: "skip" };
  if (!few) {
    const dots = { ...mark, mode: "markers", y: places, marker: { color: "#ffffff", size: 2, opacity: 0.6 } };
    return [{ ...dots, x: at("r10") }, { ...dots, x: at("r90") }, { ...mark, mode: "lines", x: at("r50"), y: places, line: { color: "#ffffff", width: 2 } }];
  }
  const [low, high] = [at("r10"), at("r90")];
  return [
    { ...mark, mode: "lines", x: low.flatMap((x, k) => [x, high[k], null]), y: places.flatMap((k) => [k, k, null]), line: { color: "rgba(0,0,0,0.75)", width: 3.5 } },
    { ...mark, mode: "lines", x: low.flatMap((x, k) => [x, high[k], null]), y: places.flatMap((k) => [k, k, null]), line: { color: "#ffffff", width: 1.6 } },
    { ...mark, mode: "markers", x: at("r50"), y: places, marker: { color: "#ffffff", size: 8, line: { color: "#000000", width: 1 } } },
  ];
}

// ---- band against accuracy

const SPANS = { r50: "centre r50 of the band (cycles/image)", width: "width of the band (cycles/image)", octaves: "width of the band (octaves)" };

function drawBands() {
  const model = picked("bands-model");
  const { noun, plural } = data.models[model].levels[0];
  const probe = byId("bands-probe").value;
  const quantity = byId("bands-quantity").value;
  const holder = byId("bands-chart");
  const table = tableOf(model, `band_accuracy_by_${noun}`);
  const rows = groupRows(model, noun, probe).filter((row) => known(row[quantity]) && known(row.accuracy));
  byId("bands-result").textContent = associationText(table, probe, quantity, plural);
  holder.hidden = !rows.length;
  if (!rows.length) return;
  const colour = modelColour(model);
  const errors = (value, low, high, scale = 1) => ({
    type: "data", symmetric: false, array: rows.map((row) => scale * (row[high] - row[value])),
    arrayminus: rows.map((row) => scale * (row[value] - row[low])), color: transparent(colour, 0.35), thickness: 1, width: 0,
  });
  const few = rows.length <= FEW_ROWS;
  const bars = few ? { error_x: errors(quantity, `${quantity}_ci_low`, `${quantity}_ci_high`), error_y: errors("accuracy", "accuracy_ci_low", "accuracy_ci_high", 100) } : {};
  const named = rows.length <= NAMED_POINTS && window.innerWidth >= 700;
  plot(holder, [{
    type: "scatter", mode: named ? "markers+text" : "markers", x: rows.map((row) => row[quantity]), y: rows.map((row) => 100 * row.accuracy),
    ...bars, marker: { color: colour, size: few ? 8 : 6, opacity: few ? 1 : 0.5 }, text: rows.map((row) => plotText(row.name, 24)), textposition: textPlaces(rows, quantity),
    textfont: { size: 11, color: css("--quiet") }, cliponaxis: false,
    customdata: rows.map((row) => `${plotText(row.name)}<br>${withInterval(row[quantity], row[`${quantity}_ci_low`], row[`${quantity}_ci_high`])} ${quantity === "octaves" ? "octaves" : "cycles/image"}<br>${withInterval(row.accuracy, row.accuracy_ci_low, row.accuracy_ci_high, 1, 100)} %, ${row.n} images`),
    hovertemplate: "%{customdata}<extra></extra>",
  }], layout({
    xaxis: axis(SPANS[quantity], { rangemode: "tozero" }), yaxis: axis("clean accuracy (%)", { range: [Math.max(0, 100 * Math.min(...rows.map((row) => (few ? row.accuracy_ci_low : row.accuracy))) - 4), 101.5] }),
    height: 420, hovermode: "closest",
  }));
  holder.removeAllListeners?.("plotly_click");
  holder.on?.("plotly_click", (event) => openFromChart(model, 0, rows[event.points[0].pointIndex].key));
}

/** Names by turns above and below, from left to right, so that neighbours rarely touch. */
function textPlaces(rows, quantity) {
  const order = rows.map((_, k) => k).sort((a, b) => rows[a][quantity] - rows[b][quantity]);
  const turns = ["top right", "bottom right", "top left", "bottom left"];
  const found = [];
  order.forEach((row, k) => { found[row] = turns[k % turns.length]; });
  return found;
}

/** Spearman's correlation, in words. */
function associationText(table, probe, quantity, plural) {
  const row = table ? rowsWhere(table, { probe, quantity })[0] : undefined;
  if (row === undefined) return "";
  const own = record(table, row);
  if (!known(own.rho)) return `No correlation: ${own.reason}.`;
  const holds = own.ci_low <= 0 && own.ci_high >= 0;
  const p = own.p < 0.001 ? "p < 0.001" : `p = ${fixed(own.p, 3)}`;
  return `Spearman's ρ = ${fixed(own.rho, 2)} (${between(own.ci_low, own.ci_high, 2)}) over ${own.n} ${plural}, ${p}${holds ? ": its interval holds 0" : ""}.`;
}

// ---- scale x radius

function drawScales() {
  const holder = byId("scale-charts");
  if (!holder) return;
  const model = picked("scale-model");
  const quantity = chosen("scale-quantity");
  const own = data.surfaces.filter((surface) => surface.model === model);
  holder.replaceChildren(...own.map((surface) => {
    const about = data.models[model].probes.find((probe) => probe.name === surface.probe);
    return element("figure", { class: "panel" }, element("figcaption", {}, element("strong", {}, about.title)),
      element("div", { class: "chart", id: `scale-${surface.probe}`, role: "img", "aria-label": `${about.title}: ${quantity} over scale and radius` }));
  }));
  own.forEach((surface) => drawSurface(surface, quantity, data.models[model].side));
}

function drawSurface(surface, quantity, side) {
  const log = unit() === "octave";
  const noun = surface.axis === "zoom" ? "zoom" : "object size (pixels)";
  const use = surface.radius.map((radius, k) => k).filter((k) => !log || surface.radius[k] > 0);
  const x = cellEdges(use.map((k) => UNITS[unit()].value(surface.radius[k], side)), log);
  const y = cellEdges(surface.scales, true);
  const place = (radius) => (known(radius) ? UNITS[unit()].value(radius, side) : null);
  const { points, law } = surface;
  const traces = [{
    type: "heatmap", x, y, zmin: 0, zmax: 100, colorscale: VIRIDIS, colorbar: colourBar(quantity === "accuracy" ? "accuracy (%)" : "probability (%)"),
    z: surface[quantity].map((row) => use.map((k) => (known(row[k]) ? 100 * row[k] : null))),
    customdata: surface[quantity].map((row, s) => use.map((k) => `${noun} ${general(surface.scales[s])}, radius ${general(surface.radius[k])}<br>${percent(row[k])}`)),
    hovertemplate: "%{customdata}<extra></extra>",
  }, {
    type: "scatter", mode: "markers", x: points.r50.map(place), y: points.scale, marker: { color: "#ffffff", size: 9, line: { color: "#000000", width: 1 } },
    error_x: { type: "data", symmetric: false, color: "#ffffff", thickness: 1.5, width: 0,
      array: points.r50.map((r50, k) => place(points.r50_ci_high[k]) - place(r50)), arrayminus: points.r50.map((r50, k) => place(r50) - place(points.r50_ci_low[k])) },
    customdata: points.r50.map((r50, k) => `r50 ${withInterval(r50, points.r50_ci_low[k], points.r50_ci_high[k])} at ${noun} ${general(points.scale[k])}`),
    hovertemplate: "%{customdata}<extra></extra>",
  }];
  if (known(law.beta)) {
    const steps = Array.from({ length: 30 }, (_, k) => y[0] * (y.at(-1) / y[0]) ** (k / 29));
    traces.push({
      type: "scatter", mode: "lines", hoverinfo: "skip", y: steps, line: { color: "#ffffff", width: 1.5, dash: "dash" },
      x: steps.map((scale) => place(law.r50 * (scale / law.r50_at) ** -law.beta)),
    });
  }
  plot(byId(`scale-${surface.probe}`), traces, layout({
    xaxis: edgesAxis(x),
    yaxis: axis(noun, { type: "log", tickvals: surface.scales, ticktext: surface.scales.map(general), showgrid: false, range: [Math.log10(y[0]), Math.log10(y.at(-1))] }),
    height: 320, hovermode: "closest",
  }));
}

function startMaps() {
  const probes = (name) => fill(byId(`${name}-probe`), probePairs(picked(`${name}-model`)));
  for (const [name, draw] of [["map", drawMap], ["bands", drawBands]]) {
    probes(name);
    byId(`${name}-probe`).addEventListener("change", draw);
    whenPicked(`${name}-model`, () => { probes(name); draw(); });
    keepDrawn(draw);
  }
  byId("map-order").addEventListener("change", drawMap);
  byId("bands-quantity").addEventListener("change", drawBands);
  whenPicked("scale-model", drawScales);
  whenChosen("scale-quantity", drawScales);
  keepDrawn(drawScales);
}
