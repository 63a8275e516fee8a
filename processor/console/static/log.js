// A log that goes on while its run does. Lines are text nodes, never markup; the page keeps the newest KEPT of them.
"use strict";
(() => {
  const KEPT = 5000;
  const LEVELS = ["debug", "info", "warning", "error", "critical"];
  const ESCAPES = /\u001b\[[0-9;?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)/g;
  const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;

  function visible(text) {
    return text.replace(ESCAPES, "").replace(HIDDEN, (sign) => {
      const code = sign.charCodeAt(0);
      if (code < 0x20) return String.fromCharCode(0x2400 + code);
      return code === 0x7f ? "\u2421" : `\u27e8U+${code.toString(16).toUpperCase().padStart(4, "0")}\u27e9`;
    });
  }

  class LogView {
    constructor(card) {
      this.box = card.querySelector("[data-log-lines]");
      this.count = card.querySelector("[data-log-count]");
      this.filter = card.querySelector("[data-log-filter]");
      this.level = card.querySelector("[data-log-level]");
      this.total = 0;
      this.dropped = 0;
      this.held = [];
      this.paused = false;
      this.fresh = [];
      this.frame = 0;
      this.filter.addEventListener("input", () => this.refilter());
      this.level.addEventListener("change", () => this.refilter());
      card.querySelector("[data-log-wrap]").addEventListener("click", (event) => {
        const on = this.box.classList.toggle("wrap");
        event.currentTarget.setAttribute("aria-pressed", String(on));
      });
      card.querySelector("[data-log-pause]").addEventListener("click", (event) => this.pause(event.currentTarget));
      this.listen(card.dataset.log);
    }

    listen(address) {
      const source = new EventSource(address);
      source.addEventListener("line", (event) => this.take(JSON.parse(event.data)));
      source.addEventListener("end", () => { source.close(); this.end("The run has ended; these are all its lines."); });
      source.addEventListener("cut", (event) => this.end(JSON.parse(event.data).reason));
      source.onerror = () => { if (source.readyState === EventSource.CLOSED) this.end("The log cannot be read just now."); };
      addEventListener("pagehide", () => source.close());
    }

    take(line) {
      if (line.stream !== "platform") this.total += 1; // START, END and the like were not printed by the function
      (this.paused ? this.held : this.fresh).push(line);
      if (this.held.length > KEPT) { this.held.shift(); this.dropped += 1; }
      this.soon();
    }

    soon() {
      if (!this.frame) this.frame = requestAnimationFrame(() => { this.frame = 0; this.draw(); });
    }

    draw() {
      const atEnd = this.box.scrollTop + this.box.clientHeight >= this.box.scrollHeight - 40;
      if (this.fresh.length > KEPT) { this.dropped += this.fresh.length - KEPT; this.fresh = this.fresh.slice(-KEPT); }
      const added = document.createDocumentFragment();
      for (const line of this.fresh) added.append(this.row(line));
      this.fresh = [];
      this.box.append(added);
      while (this.box.childElementCount > KEPT) { this.box.firstElementChild.remove(); this.dropped += 1; }
      if (atEnd) this.box.scrollTop = this.box.scrollHeight;
      const waiting = this.held.length ? `, ${this.held.length} held back` : "";
      const dropped = this.dropped ? `, the oldest ${this.dropped} only in the download` : "";
      this.count.textContent = `${this.total} lines${waiting}${dropped}`;
    }

    row(line) {
      const row = document.createElement("div");
      row.className = `line ${line.stream} ${(line.level || "").toLowerCase()}`;
      row.dataset.level = (line.level || (line.stream === "stderr" ? "error" : "info")).toLowerCase();
      const time = document.createElement("time");
      const at = new Date(line.time);
      time.textContent = `${at.toTimeString().slice(0, 8)}.${String(at.getMilliseconds()).padStart(3, "0")}`;
      time.title = line.time;
      const text = document.createElement("span");
      text.className = "text";
      text.textContent = visible(line.text);
      row.append(time, text);
      row.hidden = !this.matches(row);
      return row;
    }

    matches(row) {
      const wanted = this.filter.value.toLowerCase();
      const least = LEVELS.indexOf(this.level.value);
      if (least > 0 && LEVELS.indexOf(row.dataset.level) < least) return false;
      return !wanted || row.lastElementChild.textContent.toLowerCase().includes(wanted);
    }

    refilter() {
      for (const row of this.box.querySelectorAll(".line")) row.hidden = !this.matches(row);
    }

    pause(button) {
      this.paused = !this.paused;
      button.setAttribute("aria-pressed", String(this.paused));
      button.querySelector("span").textContent = this.paused ? "Go on" : "Pause";
      if (!this.paused) { this.fresh.push(...this.held); this.held = []; }
      this.soon();
    }

    end(text) {
      this.soon();
      requestAnimationFrame(() => {
        this.draw();
        const last = document.createElement("div");
        last.className = "log-end";
        last.textContent = this.total ? text : `It has printed nothing. ${text}`;
        this.box.append(last);
        this.box.scrollTop = this.box.scrollHeight;
      });
    }
  }

  for (const card of document.querySelectorAll("[data-log]")) new LogView(card);
})();
