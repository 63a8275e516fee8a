// What every page does by itself: stays fresh, copies, opens dialogs, obeys the keyboard. No page needs more to be read.
"use strict";
(() => {
  const root = document.body.dataset.root;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // -- staying fresh: regions marked with data-live ask for themselves again when a run changes
  let paused = false;
  let source = null;
  let waiting = null;
  const REFRESH_MS = 700;

  function refresh(changed) {
    if (paused || document.hidden) return;
    for (const region of all("[data-live]")) {
      const about = region.dataset.live;
      if (about === "runs" || changed === null || changed.has(about)) htmx.trigger(region, "refresh");
    }
  }

  let changed = new Set();
  function noticed(id) {
    changed.add(id);
    if (waiting) return;
    waiting = setTimeout(() => {
      waiting = null;
      const some = changed;
      changed = new Set();
      refresh(some);
    }, REFRESH_MS);
  }

  function healthy(state) {
    const dot = document.querySelector("[data-health] .live-dot");
    dot.className = `live-dot ${state === "live" ? "on" : state === "away" ? "bad" : ""}`;
    document.querySelector("[data-health-text]").textContent = state === "live" ? "live" : state === "away" ? "gateway away" : state;
  }

  function listen() {
    if (source || document.hidden) return;
    const live = all("[data-live]");
    if (!live.length) {
      if (!all("[data-every]").length) document.querySelector("[data-health]").hidden = true;
      else healthy("live"); // it has just come from there
      return refreshEvery();
    }
    source = new EventSource(`${root}v1/runs/changes`);
    source.onopen = () => { healthy("live"); refresh(null); };
    source.onerror = () => healthy("away");
    source.addEventListener("run", (event) => noticed(JSON.parse(event.data).request_id));
  }

  function deafen() {
    if (source) source.close();
    source = null;
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? deafen() : listen()));
  setInterval(() => {
    if (paused || document.hidden) return;
    refreshEvery();
  }, 3000);

  function refreshEvery() { for (const region of all("[data-every]")) htmx.trigger(region, "refresh"); }

  function setPaused(value) {
    paused = value;
    for (const button of all("[data-live-switch]")) {
      button.setAttribute("aria-pressed", String(!paused));
      button.querySelector("[data-live-text]").textContent = paused ? "Paused" : "Live";
    }
    if (!paused) refresh(null);
  }

  // -- times that count on
  function spell(seconds) {
    if (seconds < 1) return `${Math.max(0, Math.round(seconds * 1000))} ms`;
    if (seconds < 10) return `${seconds.toFixed(1)} s`;
    if (seconds < 60) return `${Math.round(seconds)} s`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
    if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
    return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
  }
  function ago(seconds) {
    if (seconds < -1) return `in ${spell(-seconds)}`;
    if (seconds < 5) return "just now";
    if (seconds < 60) return `${Math.floor(seconds)} s ago`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
    if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
    return `${Math.floor(seconds / 86400)} d ago`;
  }
  function tick() {
    const now = Date.now();
    for (const each of all("time[datetime]")) {
      const at = new Date(each.dateTime);
      each.textContent = ago((now - at) / 1000);
      if (!each.dataset.zoned) {
        each.dataset.zoned = "1";
        each.title = `${at.toLocaleString()} (${each.dateTime})`;
      }
    }
    for (const each of all("[data-since]")) each.textContent = spell((now - new Date(each.dataset.since)) / 1000);
    for (const each of all("[data-until]")) each.textContent = spell(Math.max(0, (new Date(each.dataset.until) - now) / 1000));
  }
  setInterval(tick, 1000);

  // -- small things
  function toast(text, bad = false) {
    const dialog = document.querySelector("dialog[open]");
    if (dialog && bad) return complain(dialog, text); // what is behind an open dialog is neither read nor heard
    const box = document.createElement("div");
    box.className = bad ? "toast bad" : "toast";
    box.textContent = text;
    document.getElementById("toasts").append(box);
    setTimeout(() => box.remove(), bad ? 9000 : 4000);
  }
  function complain(dialog, text) {
    const before = dialog.querySelector(".said");
    if (before) before.remove();
    const said = document.createElement("p");
    said.className = "said bad";
    said.setAttribute("role", "alert");
    said.textContent = text;
    dialog.querySelector(".buttons").before(said);
  }
  window.headrace = { toast, spell, root };

  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      toast("Copied");
    } catch {
      toast("The browser does not let this page copy", true);
    }
  }

  function absolute(path) { return new URL(root + path, location.href).href; }
  for (const each of all("[data-curl]")) {
    const method = each.dataset.method === "GET" ? "" : ` -X ${each.dataset.method}`;
    each.textContent = `curl -s${method} '${absolute(each.dataset.curl)}'`;
  }

  function openDialog(dialog) {
    for (const field of all("[data-fill-from]", dialog)) {
      const from = document.querySelector(field.dataset.fillFrom);
      if (from && !field.value) field.value = from.textContent;
    }
    const said = dialog.querySelector(".said");
    if (said) said.remove();
    dialog.showModal();
  }

  function cycleTheme() {
    const order = ["", "light", "dark"];
    const next = order[(order.indexOf(document.documentElement.dataset.theme || "") + 1) % order.length];
    if (next) { document.documentElement.dataset.theme = next; localStorage.setItem("headrace-theme", next); }
    else { delete document.documentElement.dataset.theme; localStorage.removeItem("headrace-theme"); }
    document.dispatchEvent(new Event("headrace:theme"));
    toast(next ? `Theme: ${next}` : "Theme: as the system");
  }

  document.addEventListener("click", (event) => {
    const hit = (selector) => event.target.closest(selector);
    let found;
    if ((found = hit("[data-copy]"))) copy(found.dataset.copy);
    else if ((found = hit("[data-copy-before]"))) copy(found.previousElementSibling.textContent);
    else if ((found = hit("[data-copy-from]"))) copy(document.querySelector(found.dataset.copyFrom).textContent);
    else if (hit("[data-theme-switch]")) cycleTheme();
    else if (hit("[data-live-switch]")) setPaused(!paused);
    else if ((found = hit("[data-dialog]"))) openDialog(document.getElementById(`dialog-${found.dataset.dialog}`));
    else if ((found = hit("[data-close]"))) found.closest("dialog").close();
    else if ((found = hit("[data-bulk-action]"))) bulk(found.dataset.bulkAction);
  });

  // -- forms
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-pick-all]")) {
      for (const box of all("[data-pick]")) box.checked = event.target.checked;
    }
    if (event.target.matches("[data-pick], [data-pick-all]")) showPicked();
    const form = event.target.closest("form[data-autosubmit]");
    if (form && event.target.tagName === "SELECT") form.requestSubmit();
  });
  document.addEventListener("submit", (event) => {
    if (event.target.matches("form[data-autosubmit]")) {
      for (const field of all("input, select", event.target)) if (!field.value) field.disabled = true;
    }
  });

  function picked() { return all("[data-pick]:checked").map((box) => box.value); }
  function showPicked() {
    const bar = document.querySelector("[data-bulk-bar]");
    if (!bar) return;
    const count = picked().length;
    bar.hidden = count === 0;
    bar.querySelector("[data-bulk-count]").textContent = count;
    for (const box of all("[data-pick]")) box.closest("tr").setAttribute("aria-selected", String(box.checked));
  }
  async function bulk(action) {
    const ids = picked();
    if (!confirm(`${action === "cancel" ? "Cancel" : "Replay"} ${ids.length} run${ids.length === 1 ? "" : "s"}?`)) return;
    const body = new URLSearchParams(ids.map((id) => ["pick", id]));
    try {
      const answer = await fetch(`${root}console/runs/picked/${action}`, { method: "POST", body });
      const said = await answer.json();
      toast(said.text ?? said.detail, said.bad ?? true);
    } catch {
      toast("The gateway does not answer", true);
      return;
    }
    for (const box of all("[data-pick], [data-pick-all]")) box.checked = false;
    showPicked();
  }

  for (const field of all("[data-remember]")) {
    const key = `headrace-${field.dataset.remember}`;
    const kept = localStorage.getItem(key);
    if (kept !== null) field.value = kept;
    field.form.addEventListener("submit", () => localStorage.setItem(key, field.value));
  }

  // -- what the server says: HX-Trigger {"said": {...}}, {"go": "address"}
  document.addEventListener("said", (event) => {
    toast(event.detail.text, event.detail.bad);
    if (!event.detail.bad) for (const dialog of all("dialog[open]")) dialog.close();
    if (event.detail.go) location.href = root + event.detail.go;
    else if (!event.detail.bad) { refresh(null); refreshEvery(); }
    if (event.detail.reload) location.reload();
  });
  document.addEventListener("htmx:error", () => healthy("away"));
  document.addEventListener("htmx:after:swap", () => {
    healthy("live");
    tick();
    showPicked();
    // What had the focus in a dialog may be gone with its content.
    const dialog = document.querySelector("dialog[open]");
    if (dialog && !dialog.contains(document.activeElement)) dialog.querySelector("h2")?.focus();
  });

  // -- the keyboard
  let row = -1;
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]")) return;
    if (event.target.matches("input, textarea, select") || event.ctrlKey || event.metaKey || event.altKey) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const rows = all("[data-row]");
    if (event.key === "/") { const field = document.querySelector("[data-search]"); if (field) { event.preventDefault(); field.focus(); } }
    else if (event.key === "j" || event.key === "k") {
      if (!rows.length) return;
      row = Math.max(0, Math.min(rows.length - 1, row + (event.key === "j" ? 1 : -1)));
      const link = rows[row].querySelector("a");
      if (link) link.focus();
    } else if (event.key === "p" && document.querySelector("[data-live-switch]")) setPaused(!paused);
    else if (lastKey !== "g" && event.key === "t") cycleTheme();
    else if ("ornfltgqe".includes(event.key)) pending(event.key);
  });
  let lastKey = "";
  function pending(key) {
    if (lastKey === "g") {
      const place = { o: "", r: "runs", l: "logs", f: "functions", t: "triggers", q: "queues", e: "executors" }[key];
      if (place !== undefined) location.href = `${root}console/${place}`;
    }
    lastKey = key;
    setTimeout(() => { lastKey = ""; }, 1000);
  }

  for (const each of all("[data-from-end]")) each.scrollTop = each.scrollHeight;
  document.querySelector(".nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  tick();
  listen();
})();
