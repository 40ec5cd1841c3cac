// Unpack, then start every part; whatever goes wrong is said on the page.

async function start() {
  const script = element("script");
  script.textContent = await unpack("plotly-source");
  document.head.append(script);
  data = JSON.parse(await unpack("data-source"));
  paintSwatches();
  startCurves();
  startExplorer();
  startMaps();
  startViewer();
  listDownloads();
  byId("js-plotly-tester")?.setAttribute("aria-hidden", "true"); // where plotly measures texts
  document.documentElement.dataset.ready = "yes";
}

const prefersDark = matchMedia("(prefers-color-scheme: dark)");
setTheme(prefersDark.matches ? "dark" : "light");
prefersDark.addEventListener("change", () => { setTheme(prefersDark.matches ? "dark" : "light"); redrawAll(); });
byId("theme").addEventListener("click", () => { setTheme(isDark() ? "light" : "dark"); redrawAll(); });

window.addEventListener("beforeprint", () => {
  printing = true;
  document.documentElement.dataset.print = document.documentElement.dataset.theme;
  document.documentElement.dataset.theme = "light";
  document.documentElement.dataset.printing = "yes";
  document.querySelectorAll("#method details:not([open])").forEach((one) => { one.dataset.closed = "yes"; one.open = true; });
  paintSwatches();
  redrawAll();
});
window.addEventListener("afterprint", () => {
  printing = false;
  delete document.documentElement.dataset.printing;
  document.documentElement.dataset.theme = document.documentElement.dataset.print;
  document.querySelectorAll("details[data-closed]").forEach((one) => { delete one.dataset.closed; one.open = false; });
  paintSwatches();
  redrawAll();
});

start().catch((error) => {
  byId("failure").textContent = `The charts cannot be drawn: ${error.message}. A browser of 2023 or later is needed; the tables below are complete.`;
  byId("failure").hidden = false;
  console.error(error);
});
