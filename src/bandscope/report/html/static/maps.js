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
  return { ...radiusAxis(edges), showgrid: false, ...more };
}

// ---- groups x radius

const map = { model: 0, rows: [], cells: [], radii: [], edges: [], at: null }; // what is drawn, and the cell in focus

/** What a cell says: its name, its radius, its accuracy; `end` between the parts. */
function cellText(row, cell, end) {
  const table = tableOf(map.model, `curves_by_${data.models[map.model].levels[0].noun}`);
  const found = withInterval(table.accuracy[cell], table.ci_low[cell], table.ci_high[cell], 1, 100);
  return [`radius ${general(table.radius[cell])} cycles/image`, `${found} % of ${row.n} image${row.n === 1 ? "" : "s"}`].join(end);
}

function drawMap() {
  const model = picked("map-model");
  const { noun } = data.models[model].levels[0];
  const probe = byId("map-probe").value;
  const holder = byId("map-chart");
  const table = tableOf(model, `curves_by_${noun}`);
  if (!table || !probe) return sayInstead(holder, "This audit has no probe over radius.");
  const order = byId("map-order").value;
  const rows = sorted(groupRows(model, noun, probe), order, order === "accuracy").reverse();
  const { side } = data.models[model];
  const all = rows.map((row) => rowsOf(model, `curves_by_${noun}`, probe, row.key));
  const log = unit() === "octave";
  const use = (all[0] || []).map((_, k) => k).filter((k) => !log || table.radius[all[0][k]] > 0);
  const cells = all.map((row) => use.map((k) => row[k]));
  const radii = (cells[0] || []).map((at) => table.radius[at]);
  const edges = cellEdges(radii.map((radius) => UNITS[unit()].value(radius, side)), log);
  Object.assign(map, { model, rows, cells, radii, edges, at: null });
  const few = rows.length <= FEW_ROWS;
  const narrow = window.innerWidth < 700;
  const names = rows.map((row) => plotText(row.name, narrow ? 16 : 30));
  const traces = [{
    type: "heatmap", x: edges, y: rows.map((_, k) => k), zmin: 0, zmax: 100, colorscale: VIRIDIS,
    z: cells.map((row) => row.map((at) => (known(table.accuracy[at]) ? 100 * table.accuracy[at] : null))),
    customdata: cells.map((row, k) => row.map((at) => `${plotText(rows[k].name)}<br>${cellText(rows[k], at, "<br>")}`)),
    hovertemplate: "%{customdata}<extra></extra>", colorbar: colourBar("accuracy (%)"), ygap: few ? 1 : 0,
  }, ...bandMarks(rows, side, few)];
  const height = few ? Math.max(200, 22 * rows.length + 70) : 720;
  plot(holder, traces, layout({
    xaxis: edgesAxis(edges),
    yaxis: axis(few ? "" : `${rows.length} ${data.models[model].levels[0].plural}`, {
      tickvals: few ? rows.map((_, k) => k) : [], ticktext: names, showgrid: false, range: [-0.5, rows.length - 0.5], automargin: true,
    }),
    height, margin: { l: 40, r: 8, t: 6, b: 48 }, hovermode: "closest", shapes: [],
  }));
  holder.removeAllListeners?.("plotly_click");
  holder.on?.("plotly_click", (event) => openFromChart(model, 0, rows[Math.round(event.points[0].y)].key));
}

/** The keys of the map: arrows, Home and End move over its cells, Enter opens the row in the table. */
function moveOnMap(event) {
  const { rows, radii } = map;
  const [row, column] = map.at || [rows.length - 1, 0];
  const moves = { ArrowUp: [row + 1, column], ArrowDown: [row - 1, column], ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1], Home: [rows.length - 1, column], End: [0, column] };
  if (!rows.length || !radii.length) return;
  if (event.key === "Enter") {
    event.preventDefault();
    openFromChart(map.model, 0, rows[row].key);
  } else if (moves[event.key]) {
    event.preventDefault();
    const within = (at, count) => Math.min(Math.max(at, 0), count - 1);
    markOnMap(within(moves[event.key][0], rows.length), within(moves[event.key][1], radii.length));
  }
}

function markOnMap(row, column) {
  map.at = [row, column];
  byId("map-says").replaceChildren(nameOf(map.rows[row].name), `: ${cellText(map.rows[row], map.cells[row][column], ", ")}.`);
  Plotly.relayout(byId("map-chart"), { shapes: [{
    type: "rect", x0: map.edges[column], x1: map.edges[column + 1], y0: row - 0.5, y1: row + 0.5, line: { color: "#ff3b3b", width: 2.5 },
  }] });
}

function leaveMap() {
  byId("map-says").replaceChildren();
  if (map.at) Plotly.relayout(byId("map-chart"), { shapes: [] });
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

const MARGINS = { x: 64, y: 54 }; // of `layout`, both sides together
const BANDS_HEIGHT = 460;
const LETTER = { width: 6.3, height: 15 }; // at most, of names in charts, in pixels
const SIDES = [["top right", 0, -1], ["bottom right", 0, 1], ["top left", -1, -1], ["bottom left", -1, 1], ["middle right", 0, 0], ["middle left", -1, 0]];
const SPANS = { r50: "centre r50 of the band (cycles/image)", width: "width of the band (cycles/image)", octaves: "width of the band (octaves)" };

function drawBands() {
  const model = picked("bands-model");
  const { noun, plural } = data.models[model].levels[0];
  const probe = byId("bands-probe").value;
  const quantity = byId("bands-quantity").value;
  const holder = byId("bands-chart");
  const table = tableOf(model, `band_accuracy_by_${noun}`);
  const rows = !probe ? [] : groupRows(model, noun, probe).filter((row) => known(row[quantity]) && known(row.accuracy));
  byId("bands-result").textContent = probe ? associationText(table, probe, quantity, plural) : "This audit has no probe over radius.";
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
  const across = [0, 1.04 * Math.max(...rows.map((row) => (few && known(row[`${quantity}_ci_high`]) ? row[`${quantity}_ci_high`] : row[quantity])))];
  const up = [Math.max(0, 100 * Math.min(...rows.map((row) => (few ? row.accuracy_ci_low : row.accuracy))) - 4), 101.5];
  const names = named ? namesBeside(rows.map((row) => ({
    text: plotText(row.name, 24), x: ((holder.clientWidth - MARGINS.x) * (row[quantity] - across[0])) / (across[1] - across[0]),
    y: ((BANDS_HEIGHT - MARGINS.y) * (up[1] - 100 * row.accuracy)) / (up[1] - up[0]),
  })), holder.clientWidth - MARGINS.x) : rows.map(() => ["", "top center"]);
  plot(holder, [{
    type: "scatter", mode: named ? "markers+text" : "markers", x: rows.map((row) => row[quantity]), y: rows.map((row) => 100 * row.accuracy),
    ...bars, marker: { color: colour, size: few ? 8 : 6, opacity: few ? 1 : 0.5 }, text: names.map(([text]) => text), textposition: names.map(([, place]) => place),
    textfont: { size: 11, color: css("--quiet") }, cliponaxis: false,
    customdata: rows.map((row) => `${plotText(row.name)}<br>${withInterval(row[quantity], row[`${quantity}_ci_low`], row[`${quantity}_ci_high`])} ${quantity === "octaves" ? "octaves" : "cycles/image"}<br>${withInterval(row.accuracy, row.accuracy_ci_low, row.accuracy_ci_high, 1, 100)} %, ${row.n} images`),
    hovertemplate: "%{customdata}<extra></extra>",
  }], layout({
    xaxis: axis(SPANS[quantity], { range: across }), yaxis: axis("clean accuracy (%)", { range: up }), height: BANDS_HEIGHT, hovermode: "closest",
  }));
  holder.removeAllListeners?.("plotly_click");
  holder.on?.("plotly_click", (event) => openFromChart(model, 0, rows[event.points[0].pointIndex].key));
}

/** [name, side] of each point (x, y in pixels): on a side where it touches neither points nor names, else no name. */
function namesBeside(points, width) {
  const taken = points.map(({ x, y }) => [x - 5, y - 5, x + 5, y + 5]);
  const free = (box) => box[0] >= 0 && box[2] <= width
    && taken.every((own) => box[0] >= own[2] || box[2] <= own[0] || box[1] >= own[3] || box[3] <= own[1]);
  return points.map(({ text, x, y }) => {
    const long = LETTER.width * Array.from(text).length;
    for (const [side, left, down] of SIDES) {
      const [x0, y0] = [x + 6 + left * (long + 12), y - LETTER.height / 2 + down * LETTER.height];
      const box = [x0, y0, x0 + long, y0 + LETTER.height];
      if (!free(box)) continue;
      taken.push(box);
      return [text, side];
    }
    return ["", "top center"];
  });
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

function sayInstead(holder, text) {
  Plotly.purge(holder);
  holder.replaceChildren(text);
}

function startMaps() {
  whenPicked("scale-model", drawScales);
  whenChosen("scale-quantity", drawScales);
  keepDrawn(drawScales);
  const holder = byId("map-chart");
  if (!holder) return;
  const probes = (name) => fill(byId(`${name}-probe`), probePairs(picked(`${name}-model`)));
  for (const [name, draw] of [["map", drawMap], ["bands", drawBands]]) {
    probes(name);
    byId(`${name}-probe`).addEventListener("change", draw);
    whenPicked(`${name}-model`, () => { probes(name); draw(); });
    keepDrawn(draw);
  }
  byId("map-order").addEventListener("change", drawMap);
  byId("bands-quantity").addEventListener("change", drawBands);
  holder.addEventListener("keydown", moveOnMap);
  holder.addEventListener("focus", () => { if (holder.matches(":focus-visible") && map.rows.length) markOnMap(...(map.at || [map.rows.length - 1, 0])); });
  holder.addEventListener("blur", leaveMap);
}
