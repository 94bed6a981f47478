// What pages need beyond HTML: keys, charts, and a switch for updates. All of it works without this file, too.
(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("js");
  const $ = (selector) => document.querySelector(selector);

  // --- updates ---------------------------------------------------------------------------
  let stopped = false;
  document.addEventListener("htmx:sse:before:message", (event) => { if (stopped) event.preventDefault(); });
  document.addEventListener("htmx:sse:before:connection", (event) => { if (stopped) event.preventDefault(); });
  // Who is logged out is sent to the login by the page itself.
  document.addEventListener("htmx:sse:error", (event) => { if (event.detail.status === 401) location.reload(); });
  const toggleUpdates = () => {
    if (stopped) { location.reload(); return; }
    const button = $("#pause");
    if (!button) return;
    stopped = true;
    button.setAttribute("aria-pressed", "true");
    button.textContent = "Start updates";
  };

  // --- charts ----------------------------------------------------------------------------
  const plots = new Map();
  const resolved = (figure, name) => {
    // `light-dark()` is resolved by the browser only where it is used as a colour.
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`;
    figure.append(probe);
    const value = getComputedStyle(probe).color;
    probe.remove();
    return value;
  };
  const shown = (unit) => (value) => {
    if (value == null) return "–";
    if (unit === "s") {
      if (value === 0) return "0";
      if (value < 1) return `${(value * 1000).toPrecision(2) * 1}ms`;
      if (value < 120) return `${value.toPrecision(3) * 1}s`;
      return value < 7200 ? `${Math.round(value / 60)}m` : `${Math.round(value / 3600)}h`;
    }
    const text = value >= 10000 ? `${(value / 1000).toPrecision(3) * 1}k` : `${value.toPrecision(3) * 1}`;
    return unit === "/s" ? `${text}/s` : text;
  };
  const hour = (ticks) => {
    const days = ticks.length > 1 && ticks[ticks.length - 1] - ticks[0] > 2 * 86400;
    const form = days ? { month: "short", day: "2-digit" } : { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
    const format = new Intl.DateTimeFormat("en-GB", { ...form, timeZone: root.dataset.zone });
    return (at) => format.format(new Date(at * 1000));
  };
  // A value without neighbours is no line; it is shown as a point.
  const alone = (plot, series) => {
    const values = plot.data[series];
    return values.flatMap((value, at) => (value != null && values[at - 1] == null && values[at + 1] == null ? [at] : []));
  };
  const read = (figure) => {
    const rows = [...figure.querySelectorAll(".chart-table tbody tr")];
    const width = figure.querySelectorAll(".chart-table thead th").length - 1;
    const data = [rows.map((row) => Number(row.dataset.at))];
    for (let at = 0; at < width; at++) {
      data.push(rows.map((row) => {
        const text = row.cells[at + 1].dataset.value;
        return text === undefined ? null : Number(text);
      }));
    }
    return data;
  };
  const fitting = (host) => Math.max(200, host.clientWidth);
  // Not only the window changes what room there is: so does a page that gets long enough for a scroll bar.
  const rooms = new ResizeObserver((entries) => entries.forEach(({ target }) => {
    const known = plots.get(target.closest("[data-chart]")?.id);
    if (!known?.figure.contains(target) || known.plot.width === fitting(target)) return;
    known.plot.setSize({ width: fitting(target), height: known.plot.height });
  }));
  const draw = (figure) => {
    if (!window.uPlot || !figure.querySelector(".chart-table tbody tr")) return;
    const data = read(figure);
    const known = plots.get(figure.id);
    if (known && known.figure === figure && known.width === data.length) { known.plot.setData(data); return; }
    known?.plot.destroy();
    figure.dataset.drawn = "";
    const unit = figure.dataset.chart;
    const heads = [...figure.querySelectorAll(".chart-table thead th")].slice(1);
    const axis = { stroke: resolved(figure, "--muted"), grid: { stroke: resolved(figure, "--line"), width: 1 }, ticks: { show: false } };
    const host = figure.querySelector(".plot");
    host.replaceChildren();
    const plot = new uPlot({
      width: fitting(host),
      height: 180,
      cursor: { drag: { x: false, y: false } },
      scales: { y: { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), root.dataset.zone),
      axes: [{ ...axis, values: (_, ticks) => ticks.map(hour(ticks)) }, { ...axis, size: 56, values: (_, ticks) => ticks.map(shown(unit)) }],
      series: [{ label: "time", value: (_, at) => (at == null ? "–" : hour([at, at])(at)) }, ...heads.map((head) => {
        const stroke = resolved(figure, `--${head.dataset.tone}`);
        return { label: head.textContent, stroke, width: 2, value: (_, value) => shown(unit)(value), points: { size: 5, fill: stroke, show: true, filter: alone } };
      })],
    }, data, host);
    plots.set(figure.id, { plot, figure, width: data.length });
    rooms.observe(host);
  };
  const drawAll = () => document.querySelectorAll("[data-chart]").forEach(draw);
  const redrawAll = () => { plots.forEach(({ plot }) => plot.destroy()); plots.clear(); drawAll(); };

  // --- rows ------------------------------------------------------------------------------
  const step = (by) => {
    const rows = [...document.querySelectorAll("main tbody tr")].filter((row) => row.querySelector("a") && !row.closest(".chart"));
    if (!rows.length) return;
    const now = rows.findIndex((row) => row.contains(document.activeElement));
    const next = rows[Math.min(rows.length - 1, Math.max(0, now < 0 ? (by > 0 ? 0 : rows.length - 1) : now + by))];
    next.querySelector("a").focus();
    next.scrollIntoView({ block: "nearest" });
  };

  // --- keys ------------------------------------------------------------------------------
  let waiting = false;
  const showKeys = () => { const box = $("#keys"); if (box && !box.open) box.showModal(); };
  document.addEventListener("keydown", (event) => {
    if (document.body.dataset.keys !== "on" || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target;
    if (target instanceof Element && target.closest("input, textarea, select, [contenteditable], dialog")) return;
    const key = event.key;
    if (waiting) {
      waiting = false;
      const link = [...document.querySelectorAll("nav a[data-key]")].find((one) => one.dataset.key === key);
      if (link) { event.preventDefault(); link.click(); }
      return;
    }
    const actions = {
      g: () => { waiting = true; setTimeout(() => { waiting = false; }, 1500); },
      "/": () => { const field = $("[data-search]"); if (field) { field.focus(); field.select(); } },
      "?": showKeys,
      r: () => location.reload(),
      p: toggleUpdates,
      j: () => step(1),
      k: () => step(-1),
    };
    if (actions[key]) { event.preventDefault(); actions[key](); }
  });

  // --- forms that apply themselves -----------------------------------------------------------
  document.addEventListener("change", (event) => {
    const field = event.target;
    if (field instanceof HTMLElement && field.matches("[data-apply]")) field.form.requestSubmit();
    if (field instanceof HTMLInputElement && field.matches("[data-check-all]")) {
      document.querySelectorAll(`input[type=checkbox][name="${CSS.escape(field.dataset.checkAll)}"]`)
        .forEach((box) => { box.checked = field.checked; });
    }
  });
  document.addEventListener("click", (event) => {
    const at = event.target instanceof Element ? event.target : null;
    if (at?.closest("#keys-button")) showKeys();
    if (at?.closest("#pause")) toggleUpdates();
    const copy = at?.closest("[data-copy]");
    if (copy) navigator.clipboard?.writeText(copy.dataset.copy).then(() => { copy.textContent = "Copied"; }, () => {});
  });

  const start = () => {
    drawAll();
    document.body.addEventListener("htmx:after:swap", drawAll);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start); else start();
})();
