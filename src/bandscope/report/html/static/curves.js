// The overall curves, a chart a probe, and the differences to the first model.

const hidden = new Set(); // models that are switched off

/** All probes of all models, in order. */
function allProbes() {
  const found = new Map();
  data.models.forEach((model) => model.probes.forEach((probe) => found.set(probe.name, found.get(probe.name) || probe)));
  return [...found.values()];
}

function drawCurves() {
  const holder = byId("curve-charts");
  if (!holder.children.length) {
    for (const probe of allProbes()) {
      holder.append(element("figure", { class: "panel" },
        element("figcaption", {}, element("strong", {}, probe.title), probe.detail ? ` ${probe.detail}` : ""),
        element("div", { class: "chart", id: `curve-${probe.name}`, role: "img", "aria-label": `${probe.title}: accuracy over radius; its values are in the table below` })));
    }
  }
  allProbes().forEach(drawCurve);
}

function drawCurve(probe) {
  const quantity = chosen("quantity");
  const shown = data.models.map((model, k) => [k, tableOf(k, "curves")])
    .filter(([k, table]) => table && !hidden.has(k))
    .map(([k, table]) => [k, table, rowsWhere(table, { probe: probe.name })])
    .filter(([, , rows]) => rows.length);
  const names = probe.radial ? null : bandNames(shown.map(([, table, rows]) => [table, rows]));
  const series = shown.map(([k, table, rows]) => {
    const { name, side } = data.models[k];
    return seriesOf(table, rows, quantity, placesOf(table, rows, side, names), {
      name: data.models.length > 1 ? name : "", colour: modelColour(k), dash: modelDash(k),
    });
  });
  const most = Math.max(100, ...series.flatMap((own) => [...own.y, ...own.high]).filter(known));
  const shapes = shown
    .map(([k]) => [k, quantity === "relative" ? 1 : tableOf(k, "clean")[quantity]?.[0]])
    .filter(([, clean]) => known(clean)).map(([k, clean]) => flat(100 * clean, modelColour(k)));
  if (quantity === "accuracy") shapes.push(flat(100 / data.models[0].classes, css("--faint"), "solid"));
  const xaxis = names ? bandAxis(names) : {
    ...radiusAxis(series.flatMap((own) => own.x)), unifiedhovertitle: { text: hoverTitle() },
  };
  plot(byId(`curve-${probe.name}`), series.flatMap(probe.radial ? curveTraces : barTrace), layout({
    xaxis, yaxis: axis(data.quantities[quantity].title, { range: [0, Math.min(most * 1.03, 180)] }), shapes,
    hovermode: "x unified", height: 330,
  }));
}

/** The first screen's chart: the first low-pass and high-pass of each model, and where 90 % of clean is reached. */
function drawHero() {
  const traces = [];
  const shapes = [];
  const notes = [];
  data.models.forEach((model, k) => {
    const table = tableOf(k, "curves");
    for (const kind of ["low_pass", "high_pass"]) {
      const probe = radialProbes(k).find((own) => own.kind === kind);
      if (!probe) continue;
      const rows = rowsWhere(table, { probe: probe.name });
      const dash = kind === "low_pass" ? "solid" : "dash";
      const name = data.models.length > 1 ? `${model.name}, ${probe.title}` : probe.title;
      const series = seriesOf(table, rows, "accuracy", placesOf(table, rows, model.side), { name, colour: modelColour(k), dash, marker: 0, width: 2.4 });
      traces.push(...curveTraces(series));
      if (k === 0) notes.push(curveName(series, probe.title));
    }
    const reach = tableOf(k, "reach");
    const low = radialProbes(k).find((own) => own.kind === "low_pass");
    const at = reach && low ? rowsWhere(reach, { probe: low.name, level: 0.9 })[0] : undefined;
    if (at !== undefined && known(reach.radius[at])) {
      const x = UNITS[unit()].value(reach.radius[at], model.side);
      const y = 90 * tableOf(k, "clean").accuracy[0];
      shapes.push({ type: "line", x0: x, x1: x, y0: 0, y1: y, line: { color: modelColour(k), width: 1.2, dash: "dot" } });
      traces.push({ type: "scatter", mode: "markers", x: [x], y: [y], marker: { size: 10, color: modelColour(k), line: { color: css("--ground"), width: 2 } },
        hovertemplate: `90 % of clean at ${fixed(reach.radius[at])} cycles/image<extra></extra>` });
    }
  });
  if (!traces.length) return drawHeroBands();
  plot(byId("hero-chart"), traces, layout({
    xaxis: radiusAxis(traces.flatMap((trace) => trace.x)), yaxis: axis("accuracy (%)", { range: [0, 104] }), shapes, annotations: notes,
    hovermode: "closest", height: 310, margin: { l: 48, r: 8, t: 6, b: 44 },
  }));
}

/** Without a probe over radius, the bars of the first probe over bands. */
function drawHeroBands() {
  const probe = allProbes()[0];
  const shown = data.models.map((model, k) => [k, tableOf(k, "curves")]).filter(([, table]) => table)
    .map(([k, table]) => [k, table, rowsWhere(table, { probe: probe.name })]);
  const names = bandNames(shown.map(([, table, rows]) => [table, rows]));
  const traces = shown.map(([k, table, rows]) => barTrace(seriesOf(table, rows, "accuracy", placesOf(table, rows, 1, names), {
    name: data.models.length > 1 ? `${data.models[k].name}, ${probe.title}` : probe.title, colour: modelColour(k),
  })));
  plot(byId("hero-chart"), traces, layout({
    xaxis: bandAxis(names), yaxis: axis(`${probe.title}: accuracy (%)`, { range: [0, 104] }), hovermode: "x unified",
    height: 310, margin: { l: 48, r: 8, t: 6, b: 44 },
  }));
}

/** A curve's name at its right end, on the side where the other kind of curve is. */
function curveName(series, title) {
  const x = series.x.at(-1);
  const rising = series.y.at(-1) > series.y[0];
  return {
    x: unit() === "octave" ? Math.log10(x) : x, y: series.y.at(-1), text: plotText(title), showarrow: false, xanchor: "right",
    yanchor: rising ? "top" : "bottom", yshift: rising ? -6 : 6, font: { size: 12, color: css("--ink") },
  };
}

function drawDifferences() {
  const holder = byId("difference-charts");
  if (!holder) return;
  const items = data.comparison.differences;
  const probes = [...new Set(items.map((item) => item.probe))];
  if (!holder.children.length) {
    for (const probe of probes) {
      const about = allProbes().find((own) => own.name === probe);
      holder.append(element("figure", { class: "panel" },
        element("figcaption", {}, element("strong", {}, about.title), " minus ", nameOf(data.models[0].name),
          "; filled where p < 0.05 after Holm"),
        element("div", { class: "chart", id: `difference-${probe}`, role: "img", "aria-label": `${about.title}: difference in accuracy over radius` })));
    }
  }
  for (const probe of probes) {
    const own = items.filter((item) => item.probe === probe);
    const side = data.models[0].side;
    const traces = own.flatMap((item) => {
      const model = data.models.findIndex((one) => one.name === item.b);
      const points = (column) => item[column].map((value) => (known(value) ? 100 * value : null));
      const [y, low, high] = ["difference", "difference_ci_low", "difference_ci_high"].map(points);
      return curveTraces({
        name: item.b, colour: modelColour(model), dash: modelDash(model), y, low, high, marker: 7,
        x: item.radius.map((radius) => UNITS[unit()].value(radius, side)),
        symbol: item.p_adjusted.map((p) => (p < 0.05 ? "circle" : "circle-open")),
        texts: y.map((value, k) => `${value > 0 ? "+" : ""}${fixed(value)} points (${between(low[k], high[k])})`),
      });
    });
    plot(byId(`difference-${probe}`), traces, layout({
      xaxis: { ...radiusAxis(traces.flatMap((trace) => trace.x)), unifiedhovertitle: { text: hoverTitle() } },
      yaxis: axis("difference (points)"), shapes: [flat(0, css("--ink"), "solid")], hovermode: "x unified", height: 290,
    }));
  }
}

function startCurves() {
  document.querySelectorAll("#toggles input").forEach((input) => input.addEventListener("change", () => {
    if (input.checked) hidden.delete(Number(input.value));
    else hidden.add(Number(input.value));
    drawCurves();
    drawDetail();
  }));
  whenChosen("quantity", drawCurves);
  whenChosen("unit", redrawAll);
  keepDrawn(drawHero);
  keepDrawn(drawCurves);
  keepDrawn(drawDifferences);
}
