// Charts: one look for all of them, and the curve with its interval band that most of them are.

const drawn = []; // redraws every chart, after a change of theme or before printing

/** Draw now, and again whenever the theme changes. */
function keepDrawn(draw) {
  drawn.push(draw);
  draw();
}

const redrawAll = () => drawn.forEach((draw) => draw());

const CONFIG = { responsive: true, displaylogo: false, displayModeBar: false, doubleClick: "reset", scrollZoom: false };

function axis(title, more = {}) {
  return {
    title: { text: title, font: { size: 12, color: css("--quiet") }, standoff: 8 },
    color: css("--quiet"),
    gridcolor: css("--grid"),
    linecolor: css("--line"),
    tickfont: { size: 11 },
    ticks: "outside",
    tickcolor: css("--line"),
    ticklen: 4,
    zeroline: false,
    fixedrange: true,
    ...more,
  };
}

function layout(more = {}) {
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: css("--sans"), size: 12, color: css("--ink") },
    margin: { l: 52, r: 12, t: 8, b: 46 },
    showlegend: false,
    hoverlabel: {
      bgcolor: css("--paper"), bordercolor: css("--line"), font: { color: css("--ink"), size: 12, family: css("--sans") },
      align: "left", namelength: -1,
    },
    dragmode: false,
    ...more,
  };
}

function plot(holder, traces, shown) {
  if (!holder.data) holder.replaceChildren(); // of a text in its place
  const size = printing ? { width: holder.clientWidth } : { autosize: true }; // paper is laid out once, at once
  const done = Plotly.react(holder, traces, { ...shown, ...size }, CONFIG);
  holder.querySelector(".plot-container")?.setAttribute("aria-hidden", "true"); // the holder's name says what it is
  return done;
}

// ---- the axis that all radii share

const UNITS = {
  image: { title: "radius r (cycles/image)", value: (radius) => radius },
  pixel: { title: "frequency (cycles/pixel)", value: (radius, side) => radius / side },
  octave: { title: "radius r (cycles/image), an octave a step", value: (radius) => (radius > 0 ? radius : null) },
};

const unit = () => chosen("unit") || "image";

/** The axis of places that are in its unit already. */
function radiusAxis(places) {
  const of = UNITS[unit()];
  const values = places.filter((value) => known(value) && value >= 0);
  const high = Math.max(...values);
  if (unit() !== "octave") return axis(of.title, { range: [0, high * 1.02], hoverformat: ".4~g", rangemode: "tozero" });
  const low = Math.min(...values);
  const steps = [];
  for (let k = Math.floor(Math.log2(low)); k <= Math.ceil(Math.log2(high)); k++) steps.push(2 ** k);
  const pad = 0.04 * Math.log10(high / low || 2);
  return axis(of.title, {
    type: "log", range: [Math.log10(low) - pad, Math.log10(high) + pad], tickvals: steps, ticktext: steps.map(general),
    hoverformat: ".4~g",
  });
}

function transparent(colour, opacity) {
  const [r, g, b] = [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16));
  return `rgba(${r},${g},${b},${opacity})`;
}

/** Interval band and line of one curve; `series`: name, colour, dash, x, y, low, high, texts. */
function curveTraces(series) {
  const inside = series.x.map((x, k) => k).filter((k) => known(series.x[k]) && known(series.low?.[k]) && known(series.high?.[k]));
  const there = inside.map((k) => series.x[k]);
  const band = {
    x: [...there, ...there.slice().reverse()],
    y: [...inside.map((k) => series.high[k]), ...inside.map((k) => series.low[k]).reverse()],
    fill: "toself", fillcolor: transparent(series.colour, 0.17), line: { width: 0 }, mode: "lines", hoverinfo: "skip",
    type: "scatter",
  };
  const line = {
    x: series.x, y: series.y, type: "scatter", mode: series.marker === 0 ? "lines" : "lines+markers", name: plotText(series.name, 32),
    line: { color: series.colour, width: series.width || 2, dash: series.dash || "solid" },
    marker: { size: series.marker ?? 4.5, color: series.colour, symbol: series.symbol || "circle" },
    customdata: series.texts, hovertemplate: `${plotText(series.name, 32)} %{customdata}<extra></extra>`,
  };
  return inside.length ? [band, line] : [line];
}

/** A bar a band, with its interval. */
function barTrace(series) {
  const error = (high, low) => high.map((value, k) => (known(value) && known(low[k]) ? value - low[k] : 0));
  return {
    x: series.x, y: series.y, type: "bar", name: plotText(series.name, 32), marker: { color: transparent(series.colour, 0.6) },
    error_y: { type: "data", symmetric: false, array: error(series.high, series.y), arrayminus: error(series.y, series.low), color: series.colour, thickness: 1.2, width: 3 },
    customdata: series.texts, hovertemplate: `${plotText(series.name, 32)} %{customdata}<extra></extra>`,
  };
}

const flat = (y, colour, dash = "dot") => ({
  type: "line", xref: "paper", x0: 0, x1: 1, y0: y, y1: y, line: { color: colour, width: 1.2, dash }, layer: "below",
});

const upright = (x, colour) => ({
  type: "line", yref: "paper", y0: 0, y1: 1, x0: x, x1: x, line: { color: colour, width: 1.5 },
});

const edgesOf = (table, row) => `${general(table.low[row])}–${general(table.high[row])}`;

/** Every band that these rows of tables have, from low to high. */
function bandNames(parts) {
  const found = new Map();
  parts.forEach(([table, rows]) => rows.forEach((row) => found.set(edgesOf(table, row), [table.low[row], table.high[row]])));
  return [...found].sort(([, a], [, b]) => a[0] - b[0] || a[1] - b[1]).map(([name]) => name);
}

const bandAxis = (names) => axis("band (cycles/image)", {
  tickvals: names.map((_, k) => k), ticktext: names, range: [-0.5, names.length - 0.5],
});

/** Where rows of a table lie on the axis: at their radius, or at the place of their band among `names`. */
const placesOf = (table, rows, side, names) => rows.map((row) =>
  (names ? names.indexOf(edgesOf(table, row)) : UNITS[unit()].value(table.radius[row], side)));

/** The series of one curve out of a table of `curves`, in percent, at places `x`. */
function seriesOf(table, rows, quantity, x, look) {
  const about = data.quantities[quantity];
  const cut = (column) => rows.map((row) => (known(table[column][row]) ? 100 * table[column][row] : null));
  const [y, low, high] = [quantity, about.low, about.high].map(cut);
  const texts = y.map((value, k) => (known(value) ? `${fixed(value)} %${known(low[k]) ? ` (${between(low[k], high[k])})` : ""}` : ""));
  return { x, y, low, high, texts, ...look };
}

function hoverTitle() {
  return unit() === "pixel" ? "%{x:.4~g} cycles/pixel" : "radius %{x:.4~g}";
}
