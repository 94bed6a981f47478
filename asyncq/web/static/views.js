// Saved views of the task list: names for addresses, kept in this browser and nowhere else.
(() => {
  "use strict";
  const box = document.querySelector("#views");
  if (!box) return;
  const list = box.querySelector("ul");
  const form = box.querySelector("form");
  const field = form.querySelector("input");
  const place = box.dataset.place;
  const key = `asyncq views ${place}`; // of this site: others of the same origin are at other paths
  const MOST = 50;

  // What somebody else wrote there, or an older version, is no view.
  const isView = (one) => one && typeof one.name === "string" && one.name && typeof one.query === "string";
  const read = () => {
    try {
      const found = JSON.parse(localStorage.getItem(key) ?? "[]");
      return Array.isArray(found) ? found.filter(isView).slice(0, MOST) : [];
    } catch { return []; }
  };
  const write = (views) => {
    try { localStorage.setItem(key, JSON.stringify(views)); return true; } catch { return false; }
  };
  const say = (text, isProblem) => {
    const line = document.createElement("p");
    line.className = isProblem ? "message message-problem" : "message message-done";
    line.textContent = text;
    document.querySelector("#messages").replaceChildren(line);
  };
  // As it was asked for: `since:2h` stays two hours ago, whenever it is looked at. A page further on is none of it.
  const current = () => {
    const given = new URLSearchParams(location.search);
    given.delete("cursor");
    given.delete("live");
    [...given].forEach(([name, value]) => { if (!value) given.delete(name, value); });
    given.sort();
    return given.toString();
  };

  const item = (view) => {
    const row = document.createElement("li");
    const link = document.createElement("a");
    link.href = view.query ? `${place}?${view.query}` : place;
    link.textContent = view.name;
    if (view.query === current()) link.setAttribute("aria-current", "true");
    const forget = document.createElement("button");
    forget.type = "button";
    forget.className = "plain";
    forget.textContent = "×";
    forget.setAttribute("aria-label", `Forget the view ${view.name}`);
    forget.addEventListener("click", () => {
      const isDone = write(read().filter((one) => one.name !== view.name));
      show();
      say(isDone ? `The view ${view.name} is forgotten.` : "This browser does not let it be changed.", !isDone);
      box.querySelector("summary").focus();
    });
    row.append(link, forget);
    return row;
  };
  const show = () => {
    const views = read();
    list.hidden = !views.length;
    list.replaceChildren(...views.map(item));
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const name = field.value.trim();
    if (!name) return;
    const others = read().filter((one) => one.name !== name);
    if (others.length >= MOST) { say(`There are ${MOST} views already: forget one first.`, true); return; }
    const views = [...others, { name, query: current() }].sort((one, two) => one.name.localeCompare(two.name));
    const isDone = write(views);
    show();
    if (isDone) { field.value = ""; box.querySelector("details").open = false; box.querySelector("summary").focus(); }
    say(isDone ? `The view ${name} is saved in this browser.` : "This browser keeps nothing: save the address as a bookmark.", !isDone);
  });
  // Saved or forgotten in another window.
  addEventListener("storage", (event) => { if (event.key === key || event.key === null) show(); });
  show();
})();
