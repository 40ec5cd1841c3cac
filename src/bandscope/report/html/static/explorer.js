// The explorer: a table of classes or groups that can be searched and sorted; choosing a row opens its detail.

const COLUMNS = [
  { key: "group", title: "Name", text: true },
  { key: "n", title: "Images", show: (row) => row.n.toLocaleString("en") },
  { key: "accuracy", title: "Clean %", show: (row) => fixed(known(row.accuracy) ? 100 * row.accuracy : null), low: "accuracy_ci_low", high: "accuracy_ci_high", scale: 100 },
  { key: "r10", title: "r10", radial: true, about: "where the curve has done 10 % of its rise or fall, in cycles/image" },
  { key: "r50", title: "r50", radial: true, about: "centre of the band, in cycles/image", low: "r50_ci_low", high: "r50_ci_high" },
  { key: "r90", title: "r90", radial: true, about: "where the curve has done 90 % of its rise or fall, in cycles/image" },
  { key: "width", title: "Width", radial: true, about: "r90 minus r10, in cycles/image" },
  { key: "octaves", title: "Octaves", radial: true, about: "width of the band in octaves: doublings from r10 to r90", digits: 2 },
  { key: "fall", title: "Fall %", radial: true, about: "accuracy lost beyond the peak of the curve, in points; ! where its interval excludes 0", show: (row) => (known(row.fall) ? `${fixed(100 * row.fall)}${row.conflict ? " !" : ""}` : "–"), low: "fall_ci_low", high: "fall_ci_high", scale: 100 },
  { key: "usurper", title: "Taken over by", radial: true, about: "the class that most often takes the top place once its label had it", text: true },
];

const explorer = { sort: "r50", falling: true, rows: [], open: null };

/** The columns of this audit: without a probe over radius there is no band. */
const columnsNow = () => COLUMNS.filter((column) => !column.radial || byId("explorer-probe").value);

const level = () => data.models[picked("explorer-model")].levels[Number(chosen("level") || 0)];

/** The rows of a level under a probe: the tables of bands, conflicts and usurpers side by side. */
function groupRows(model, noun, probe) {
  const bands = tableOf(model, `bands_by_${noun}`) || tableOf(model, `clean_by_${noun}`);
  if (!bands) return [];
  const names = new Map();
  const rows = (bands.probe ? rowsWhere(bands, { probe }) : [...Array(lengthOf(bands)).keys()]).map((row) => record(bands, row)).filter((row) => row.n > 0);
  rows.forEach((row) => names.set(row.group, (names.get(row.group) || 0) + 1));
  const conflicts = tableOf(model, `conflicts_by_${noun}`);
  const usurpers = tableOf(model, `usurpers_by_${noun}`);
  return rows.map((row) => {
    const key = row.class_index ?? row.group;
    const conflict = rowsOf(model, `conflicts_by_${noun}`, probe, key)[0];
    const usurper = rowsOf(model, `usurpers_by_${noun}`, probe, key)[0];
    return {
      accuracy_ci_low: row.ci_low, accuracy_ci_high: row.ci_high, ...row, key, name: names.get(row.group) > 1 ? `${row.group} [${row.class_index}]` : row.group,
      ...(conflict === undefined ? {} : { fall: conflicts.fall[conflict], fall_ci_low: conflicts.fall_ci_low[conflict], fall_ci_high: conflicts.fall_ci_high[conflict], conflict: conflicts.conflict[conflict] }),
      usurper: usurper === undefined ? null : usurpers.usurper[usurper],
    };
  });
}

/** By a column; what has no value goes last, whichever way. */
function sorted(rows, key, falling) {
  const sign = falling ? -1 : 1;
  const text = COLUMNS.find((column) => column.key === key)?.text;
  const missing = (row) => (text ? !row[key] : !known(row[key]));
  return rows.slice().sort((a, b) => {
    if (missing(a) || missing(b)) return missing(a) - missing(b);
    return sign * (text ? String(a[key]).localeCompare(String(b[key]), "en") : a[key] - b[key]);
  });
}

function drawHead() {
  const cells = columnsNow().map((column) => {
    const now = explorer.sort === column.key;
    return element(
      "th",
      { scope: "col", class: column.text ? "" : "number", "aria-sort": now ? (explorer.falling ? "descending" : "ascending") : "none" },
      element("button", {
        type: "button", class: "sort", "data-key": column.key, title: column.about || "",
        onclick: () => {
          explorer.falling = now ? !explorer.falling : !column.text;
          explorer.sort = column.key;
          drawHead();
          drawRows();
          document.querySelector(`#explorer-table button[data-key="${column.key}"]`).focus();
        },
      }, column.title, element("span", { "aria-hidden": "true" }, now ? (explorer.falling ? " ↓" : " ↑") : "")),
    );
  });
  document.querySelector("#explorer-table thead").replaceChildren(element("tr", {}, ...cells));
}

function cell(column, row) {
  if (column.key === "group") {
    return element("th", { scope: "row" }, element("button", {
      type: "button", class: "open", title: row.name, "aria-controls": "detail", "data-key": String(row.key), tabIndex: -1,
      onclick: () => openDetail(row.key, true),
    }, nameOf(row.name)));
  }
  if (column.text) return element("td", { class: "name", title: row[column.key] || "" }, row[column.key] ? nameOf(row[column.key]) : "–");
  const text = column.show ? column.show(row) : fixed(row[column.key], column.digits ?? 1);
  const span = column.low ? between(row[column.low], row[column.high], 1, column.scale || 1) : "";
  const why = text === "–" ? row.reason || "" : "";
  return element("td", { class: "number", title: span ? `95 % interval: ${span}` : why }, text);
}

function drawRows() {
  const wanted = byId("search").value.trim().toLowerCase();
  const found = explorer.rows.filter((row) => row.name.toLowerCase().includes(wanted));
  const columns = columnsNow();
  const rows = sorted(found, explorer.sort, explorer.falling).map((row) => element(
    "tr",
    { "data-key": String(row.key), class: row.key === explorer.open ? "now" : "", onclick: (event) => { if (!event.target.closest("button")) openDetail(row.key, false); } },
    ...columns.map((column) => cell(column, row)),
  ));
  if (!rows.length) rows.push(element("tr", {}, element("td", { colSpan: columns.length, class: "none" }, "Nothing has this name.")));
  const body = document.querySelector("#explorer-table tbody");
  body.replaceChildren(...rows);
  tabStop(body, ".open", body.querySelector(".now .open") || body.querySelector(".open"));
  byId("found").textContent = `${found.length.toLocaleString("en")} of ${explorer.rows.length.toLocaleString("en")} ${level().plural}`;
}

function readRows() {
  const model = picked("explorer-model");
  explorer.rows = groupRows(model, level().noun, byId("explorer-probe").value);
  if (!explorer.rows.some((row) => row.key === explorer.open)) {
    explorer.open = sorted(explorer.rows, explorer.sort, explorer.falling)[0]?.key ?? null;
  }
  drawHead();
  drawRows();
  drawDetail();
}

/** Show a row's detail; `go`: bring it into view and put the reader there. */
function openDetail(key, go) {
  explorer.open = key;
  document.querySelectorAll("#explorer-table tbody tr").forEach((row) => row.classList.toggle("now", row.dataset.key === String(key)));
  drawDetail();
  if (go || window.innerWidth < 900) {
    byId("detail").focus({ preventScroll: true });
    byId("detail").scrollIntoView({ block: "nearest", behavior: "auto" });
  }
}

/** From a chart elsewhere: open this group of this model in the explorer. */
function openFromChart(model, levelNumber, key) {
  const select = document.querySelector('select[data-pick="explorer-model"]');
  if (select) select.value = String(model);
  const radio = document.querySelector(`input[name="level"][value="${levelNumber}"]`);
  if (radio) radio.checked = true;
  byId("search").value = "";
  explorer.open = key;
  readRows();
  byId("explorer").scrollIntoView();
  byId("detail").focus({ preventScroll: true });
}

function startExplorer() {
  const probes = () => {
    const pairs = probePairs(picked("explorer-model"));
    fill(byId("explorer-probe"), pairs);
    byId("explorer-probe").parentElement.hidden = !pairs.length;
    if (!pairs.length && COLUMNS.find((column) => column.key === explorer.sort).radial) explorer.sort = "accuracy";
  };
  probes();
  rove(document.querySelector("#explorer-table tbody"), ".open");
  byId("search").addEventListener("input", drawRows);
  byId("explorer-probe").addEventListener("change", readRows);
  whenPicked("explorer-model", () => { probes(); readRows(); });
  whenChosen("level", readRows);
  readRows();
  drawn.push(drawDetail);
}
