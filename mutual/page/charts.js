// Curves: Vega-Lite draws them in the page's colours, its expressions interpreted, since the page allows no eval.

const specs = read("specs");
const views = {};
const lightColours = ["#0f5f73", "#c2570c", "#7a3e9d", "#4d7c0f", "#b0124f", "#5a5f68", "#8a6d00", "#1d4ed8"];
const darkColours = ["#6cc5d9", "#ffb070", "#cfa3ee", "#b5d66b", "#ff8fb3", "#b6bcc6", "#f0d264", "#93b4ff"];

function config() {
  const [ink, soft, line] = ["ink", "soft", "line"].map(colour);
  const text = { labelColor: soft, titleColor: soft, labelFont: "system-ui", titleFont: "system-ui", labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" };
  return {
    background: "transparent",
    view: { stroke: null },
    axis: { ...text, gridColor: line, domainColor: line, tickColor: line },
    legend: { ...text, labelColor: ink, orient: "top", symbolType: "stroke", symbolStrokeWidth: 2.5, symbolSize: 420, labelLimit: 260, columns: innerWidth < 640 ? 2 : 5 },
    range: { category: isDark() ? darkColours : lightColours },
    line: { strokeWidth: 2.2 },
    point: { size: 38, filled: true },
    rule: { color: ink },
  };
}

async function drawCharts() {
  for (const box of document.querySelectorAll(".chart")) {
    const name = box.dataset.chart;
    if (views[name]) views[name].finalize();
    const result = await vegaEmbed(box, specs[name], { actions: false, renderer: "svg", ast: true, config: config(), tooltip: { theme: isDark() ? "dark" : "light" } });
    views[name] = result;
    box.querySelector("svg").setAttribute("role", "img");
    box.querySelector("svg").setAttribute("aria-label", box.previousElementSibling.textContent);
    rule(result);
  }
}

const rule = (result) => {
  if ("shown" in result.view.getState({ signals: (name) => name === "shown" }).signals) result.view.signal("shown", Number(data.rounds[Number(slider.value)].slice(1))).runAsync();
};

let waiting = Promise.resolve();
whenTheme.push(() => {
  waiting = waiting.then(drawCharts);
});
whenRound.push(() => Object.values(views).forEach(rule));
