// The page of a profile: the table, and the timeline. All data are in the page.
//
// Only ASCII here, because the page is. Times are in nanoseconds in the timeline, and in seconds elsewhere.
"use strict";

(() => {
  const byId = (id) => document.getElementById(id);
  const parsed = (id) => JSON.parse(byId(id).textContent);

  const profile = parsed("profile-data");
  const directory = parsed("directory-data");

  // ---- Words and numbers

  // What cannot be seen, or changes how other characters are seen, is shown as its number.
  const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu;

  function visible(text) {
    return String(text).replace(HIDDEN, (character) => {
      const number = character.codePointAt(0);
      const digits = (width) => number.toString(16).padStart(width, "0");
      return number < 0x100 ? `\\x${digits(2)}` : number < 0x10000 ? `\\u${digits(4)}` : `\\U${digits(8)}`;
    });
  }

  function duration(seconds) {
    if (seconds === 0) {
      return "0 s";
    }
    for (const [unit, factor] of [["s", 1], ["ms", 1e3], ["\u00b5s", 1e6]]) {
      const number = seconds * factor;
      if (number >= 0.9995 || unit === "\u00b5s") {
        return `${number.toFixed(number < 9.995 ? 2 : number < 99.95 ? 1 : 0)} ${unit}`;
      }
    }
    return "";
  }

  // A moment of the timeline, so exact that moments which are that far apart can be told apart.
  function moment(nanoseconds, apart, largest = nanoseconds) {
    const [unit, size] = largest >= 1e9 ? ["s", 1e9] : largest >= 1e6 ? ["ms", 1e6] : ["\u00b5s", 1e3];
    const digits = Math.max(0, Math.ceil(-Math.log10(apart / size) - 1e-9));
    return nanoseconds > 0 || largest > nanoseconds ? `${(nanoseconds / size).toFixed(Math.min(9, digits))} ${unit}` : "0";
  }

  const count = (number) => number.toLocaleString("en-US");
  const percent = (share) => `${Math.round(share * 100)}%`;
  const several = (number, one, many) => `${count(number)} ${number === 1 ? one : many}`;

  // The file as the user would name it; elsewhere than in the working directory, only the end of that, if it is to be
  // short. Stacks have the whole.
  function fileName(file, isShort) {
    const parts = file.split(/[\\/]/);
    if (file.startsWith(directory)) {
      return visible(file.slice(directory.length));
    }
    return isShort && parts.length > 3 ? `\u2026/${visible(parts.slice(-2).join("/"))}` : visible(file);
  }

  // What an object is called; if that is where it was made, with a short name of the file.
  function objectName(object) {
    const name = object.object.replace(/( made at )(.+)(:\d+ in )/, (_, before, file, after) => before + fileName(file, true) + after);
    return visible(name);
  }

  const at = (frame, isShort = true) => `${fileName(frame.file, isShort)}:${frame.line}`;
  const placeName = (frame) => (frame ? `${at(frame)} in ${visible(frame.function)}` : "outside the program's code");

  function listed(names) {
    return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names[names.length - 1]}`;
  }

  // An element. Texts are never read as HTML.
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "onclick") {
        element.addEventListener("click", value);
      } else if (value !== null && value !== false) {
        element.setAttribute(name, value === true ? "" : value);
      }
    }
    element.append(...children.filter((child) => child !== null));
    return element;
  }

  // ---- Colours: the first objects have one each, the others share one, and so do waits for work.

  const GROUPS = 9;
  const OTHERS = 7;
  const FOR_WORK = 8;
  const groupOf = [];
  for (const [index, object] of profile.objects.entries()) {
    groupOf.push(object.idle ? FOR_WORK : Math.min(index, OTHERS));
  }

  function swatch(group) {
    const element = make("span", { class: "swatch", "aria-hidden": "true" });
    element.style.setProperty("--colour", `var(--group-${group})`);
    return element;
  }

  // What the canvas must know of the style sheet.
  function colours() {
    const probe = document.body.appendChild(make("span", { hidden: true }));
    const read = (name) => {
      probe.style.color = `var(--${name})`;
      return getComputedStyle(probe).color;
    };
    const found = { groups: Array.from({ length: GROUPS }, (_, group) => read(`group-${group}`)) };
    for (const name of ["page", "panel", "line", "text", "quiet", "accent", "gil", "waiting", "free"]) {
      found[name] = read(name);
    }
    probe.remove();
    found.parts = found.groups.map(partsOf);
    return found;
  }

  const whenColoursChange = [];

  function setUpTheme() {
    const button = byId("theme");
    const system = matchMedia("(prefers-color-scheme: dark)");
    const root = document.documentElement;
    const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
    const show = () => {
      button.textContent = isDark() ? "Light" : "Dark";
      button.setAttribute("aria-label", `Use ${isDark() ? "light" : "dark"} colours`);
      for (const act of whenColoursChange) {
        act();
      }
    };
    button.hidden = false;
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      show();
    });
    system.addEventListener("change", show);
    // Paper is white, and the pictures have to know that.
    let chosen = "";
    addEventListener("beforeprint", () => {
      chosen = root.dataset.theme || "";
      root.dataset.theme = "light";
      show();
    });
    addEventListener("afterprint", () => {
      if (chosen) {
        root.dataset.theme = chosen;
      } else {
        delete root.dataset.theme;
      }
      show();
    });
    show();
  }

  // ---- The table

  const MOST_OBJECTS = 50;
  const MOST_PLACES = 10;
  const MOST_HOLDERS = 3;

  // Each column: its name, what sorts it, what is shown, and whether it is words.
  const share = (row) => (row.seconds ? row.interpreter_seconds / row.seconds : 0);
  const COLUMNS = [
    { name: "Waited", key: (row) => row.seconds, shown: (row) => duration(row.seconds), class: "waited" },
    { name: "Waits", key: (row) => row.waits, shown: (row) => count(row.waits) },
    { name: "p50", key: (row) => row.p50, shown: (row) => duration(row.p50) },
    { name: "p99", key: (row) => row.p99, shown: (row) => duration(row.p99) },
    { name: "Max", key: (row) => row.max, shown: (row) => duration(row.max) },
    { name: "GIL", key: share, shown: (row) => percent(share(row)) },
    { name: "What, waiting at", key: (row) => row.label, words: "what" },
    { name: "Held meanwhile by", key: (row) => row.holders.sortedBy, words: "held" },
  ];

  // Who held the lock meanwhile, or who ended the waits, of some places together.
  function holdersOf(places, seconds) {
    const held = new Map();
    const ended = new Map();
    for (const place of places) {
      for (const each of place.held) {
        const where = placeName(each.place);
        const entry = held.get(where) || { where, seconds: 0, threads: new Map() };
        entry.seconds += each.seconds;
        entry.threads.set(each.thread, (entry.threads.get(each.thread) || 0) + each.seconds);
        held.set(where, entry);
      }
      for (const each of place.ended_by) {
        ended.set(each.thread, (ended.get(each.thread) || 0) + each.waits);
      }
    }
    const names = (threads) => {
      const sorted = [...threads].sort((one, other) => other[1] - one[1]).map(([name]) => visible(name));
      const more = sorted.length - MOST_HOLDERS;
      return listed(more > 0 ? [...sorted.slice(0, MOST_HOLDERS), `${more} more`] : sorted);
    };
    if (held.size) {
      const sorted = [...held.values()].sort((one, other) => other.seconds - one.seconds);
      const lines = sorted.map((each) => [
        `${percent(seconds ? each.seconds / seconds : 0)} ${each.where}`,
        `by ${names(each.threads)}`,
        seconds ? each.seconds / seconds : 0,
      ]);
      return { lines, sortedBy: sorted[0].where };
    }
    return ended.size ? { lines: [["", `ended by ${names(ended)}`]], sortedBy: names(ended) } : { lines: [], sortedBy: "" };
  }

  function prepared() {
    return profile.objects.map((object, index) => {
      const places = object.places.map((place) => ({
        ...place,
        label: placeName(place.stack[0]),
        holders: holdersOf([place], place.seconds),
      }));
      const words = (parts) => parts.join("\n").toLowerCase();
      for (const place of places) {
        place.searched = words([
          ...place.stack.map((frame) => `${at(frame, false)} in ${visible(frame.function)}`),
          ...place.held.flatMap((each) => [placeName(each.place), visible(each.thread)]),
          ...place.ended_by.map((each) => visible(each.thread)),
        ]);
      }
      return {
        ...object,
        index,
        places,
        label: objectName(object),
        searched: visible(object.object).toLowerCase(),
        holders: object.idle ? { lines: [], sortedBy: "" } : holdersOf(object.places, object.seconds),
        isOpen: false,
        showsAllPlaces: false,
      };
    });
  }

  function holdersCell(holders, all) {
    const large = holders.lines.filter(([where, , part]) => !where || part >= 0.005);
    const shown = all ? holders.lines : large.slice(0, MOST_HOLDERS);
    const rest = (all ? shown : large).length - shown.length;
    if (!shown.length) {
      return "";
    }
    return make(
      "ul",
      { class: "holders" },
      ...shown.map(([where, by]) =>
        make("li", {}, where, where ? ", " : "", make("span", { class: "quiet" }, by)),
      ),
      rest > 0 ? make("li", { class: "quiet" }, `and ${several(rest, "more place", "more places")}`) : null,
    );
  }

  function stackList(stack) {
    return make(
      "ol",
      { class: "stack code" },
      ...stack.map((frame) => make("li", {}, make("span", {}, `${at(frame, false)} `), make("span", { class: "quiet" }, visible(frame.function)))),
    );
  }

  class Table {
    constructor(title, explanation, rows, whole, isForWork) {
      this.rows = rows;
      this.whole = whole;
      this.columns = COLUMNS.filter((column) => !(isForWork && column.words === "held"));
      this.sorted = { column: this.columns[0], descending: true };
      this.most = MOST_OBJECTS;
      this.filter = "";
      this.head = make("tr", { role: "row" });
      const head = make("thead", { role: "rowgroup" }, this.head);
      this.table = make(
        "table",
        { role: "table" },
        make("caption", {}, title, " ", make("small", {}, explanation)),
        head,
      );
      this.more = make("button", { type: "button", hidden: true, onclick: () => this.showMore() });
      this.element = make("div", {}, this.table, this.more);
      for (const column of this.columns) {
        const button = make("button", { type: "button", onclick: () => this.sortBy(column) }, column.name);
        column.words || button.setAttribute("title", "Sort by this column");
        this.head.append(
          make("th", { role: "columnheader", scope: "col", class: column.words ? `words ${column.words}` : column.class || null }, button),
        );
      }
      this.render();
    }

    sortBy(column) {
      const isSame = this.sorted.column === column;
      this.sorted = { column, descending: isSame ? !this.sorted.descending : !column.words };
      this.render();
    }

    showMore() {
      const before = this.table.tBodies.length;
      this.most *= 4;
      this.render();
      const next = this.table.tBodies[before];
      (next ? next.querySelector("button") : this.more).focus();
    }

    inOrder(rows) {
      const { column, descending } = this.sorted;
      const sign = descending ? -1 : 1;
      return [...rows].sort((one, other) => {
        const [first, second] = [column.key(one), column.key(other)];
        const compared = column.words ? first.localeCompare(second, "en") : first - second;
        return sign * compared || other.seconds - one.seconds;
      });
    }

    // The objects that are shown with the present filter, with their places.
    matching() {
      const found = [];
      for (const row of this.rows) {
        const isWhole = row.searched.includes(this.filter);
        const places = isWhole ? row.places : row.places.filter((place) => place.searched.includes(this.filter));
        if (isWhole || places.length) {
          found.push({ row, places });
        }
      }
      return found;
    }

    setFilter(text) {
      this.filter = text;
      this.render();
      return this.matching().length;
    }

    render() {
      for (const [index, column] of this.columns.entries()) {
        const cell = this.head.cells[index];
        if (this.sorted.column === column) {
          cell.setAttribute("aria-sort", this.sorted.descending ? "descending" : "ascending");
        } else {
          cell.removeAttribute("aria-sort");
        }
      }
      for (const body of [...this.table.tBodies]) {
        body.remove();
      }
      const matching = new Map(this.matching().map(({ row, places }) => [row, places]));
      const rows = this.inOrder(matching.keys());
      this.table.append(...rows.slice(0, this.most).map((row) => this.body(row, matching.get(row))));
      const rest = rows.length - this.most;
      this.more.hidden = rest <= 0;
      this.more.textContent = `Show ${several(Math.min(rest, this.most * 3), "more object", "more objects")} of ${count(rest)}`;
    }

    numbers(row, isObject) {
      return this.columns
        .filter((column) => !column.words)
        .map((column) => {
          const cell = make(
            "td",
            { role: "cell", "data-label": column.name, class: (isObject && column.class) || null },
            column.shown(row),
          );
          if (isObject && column.class) {
            cell.style.setProperty("--part", this.whole ? (100 * row.seconds) / this.whole : 0);
            cell.title = `${percent(this.whole ? row.seconds / this.whole : 0)} of this table`;
          }
          return cell;
        });
    }

    body(row, places) {
      const body = make("tbody", { role: "rowgroup" });
      const isOpen = row.isOpen || (this.filter !== "" && places.length < row.places.length);
      const button = make(
        "button",
        {
          type: "button",
          class: "open",
          "aria-expanded": String(isOpen),
          onclick: () => {
            row.isOpen = button.getAttribute("aria-expanded") !== "true";
            button.setAttribute("aria-expanded", String(row.isOpen));
            fill(row.isOpen);
          },
        },
        swatch(groupOf[row.index]),
        make(
          "span",
          {},
          make("span", { class: "name" }, row.label),
          row.objects > 1 ? make("span", { class: "count" }, ` (${count(row.objects)} objects)`) : null,
          make("span", { class: "count" }, ` at ${several(row.places.length, "place", "places")}`),
        ),
      );
      const object = make("tr", { role: "row", class: "object" }, ...this.numbers(row, true), make("td", { role: "cell", class: "words what" }, button));
      if (!row.idle) {
        object.append(make("td", { role: "cell", class: "words held quiet", "data-label": "Held meanwhile by" }, isOpen ? "" : holdersCell(row.holders, false)));
      }
      const fill = (open) => {
        body.replaceChildren(object);
        if (!row.idle) {
          object.lastChild.replaceChildren(open ? "" : holdersCell(row.holders, false));
        }
        if (!open) {
          return;
        }
        const sorted = this.inOrder(places);
        const shown = row.showsAllPlaces ? sorted : sorted.slice(0, MOST_PLACES);
        body.append(...shown.map((place) => this.placeRow(place, row.idle)));
        if (shown.length < sorted.length) {
          const more = make(
            "button",
            {
              type: "button",
              class: "more",
              onclick: () => {
                row.showsAllPlaces = true;
                fill(true);
                body.rows[MOST_PLACES + 1].querySelector("summary").focus();
              },
            },
            `Show ${several(sorted.length - shown.length, "more place", "more places")}`,
          );
          const before = this.columns.filter((column) => !column.words).length;
          body.append(make("tr", { role: "row", class: "place" }, make("td", { colspan: String(before) }), make("td", { class: "words what", colspan: "2" }, more)));
        }
      };
      fill(isOpen);
      return body;
    }

    placeRow(place, isForWork) {
      const details = make("details", {}, make("summary", {}, place.label));
      const cell = make("td", { role: "cell", class: "words what" }, details);
      const held = make("td", { role: "cell", class: "words held", "data-label": "Held meanwhile by" }, holdersCell(place.holders, false));
      // Stacks are made when they are asked for: there may be a hundred thousand functions.
      details.addEventListener("toggle", () => {
        if (details.open && details.childElementCount === 1) {
          details.append(place.stack.length ? stackList(place.stack) : make("p", { class: "quiet" }, "The thread was in no function of the program."));
        }
        held.replaceChildren(holdersCell(place.holders, details.open));
      });
      const row = make("tr", { role: "row", class: "place" }, ...this.numbers(place, false), cell);
      isForWork || row.append(held);
      return row;
    }
  }

  function setUpTables() {
    const rows = prepared();
    const others = rows.filter((row) => !row.idle);
    const forWork = rows.filter((row) => row.idle);
    const tables = [];
    const summed = (sums, dropped) => {
      const all = `${several(sums.waits, "wait", "waits")}, ${duration(sums.seconds)}`;
      return dropped.waits ? `${all}; of these ${count(dropped.waits)} at places that are not known` : all;
    };
    if (others.length) {
      others[0].isOpen = true;
      tables.push(new Table("Waits for others", summed(profile.waiting, profile.dropped.waiting), others, profile.waiting.seconds, false));
    }
    if (forWork.length) {
      tables.push(new Table("Waits for work", `${summed(profile.idle, profile.dropped.idle)}. They are no loss`, forWork, profile.idle.seconds, true));
    }
    if (!tables.length) {
      return;
    }
    byId("tables").append(...tables.map((table) => table.element));
    byId("objects").hidden = false;
    const input = byId("filter");
    input.addEventListener("input", () => {
      const text = input.value.trim().toLowerCase();
      const shown = tables.map((table) => table.setFilter(text)).reduce((sum, found) => sum + found, 0);
      byId("filter-result").textContent = text ? `${count(shown)} of ${several(rows.length, "object", "objects")}` : "";
    });
  }

  // ---- Pools and queues, if the profile has them

  function setUpMore() {
    const sections = [
      ["Pools", "How long calls waited in a pool for a worker, and how long they ran; and what the workers did.", profile.pools, poolPart],
      ["Queues", "How many items were in a queue over time, and how many were put and taken.", profile.queues, queuePart],
    ];
    for (const [title, explanation, found, part] of sections) {
      if (Array.isArray(found) && found.length) {
        const shown = found.slice(0, MOST_PARTS).map(part);
        const rest = found.length - shown.length;
        byId("more").append(
          make("h2", {}, title),
          make("p", { class: "explanation" }, explanation),
          ...shown,
          rest > 0 ? make("p", { class: "quiet" }, `${count(rest)} more are in the JSON.`) : "",
        );
        byId("more").hidden = false;
      }
    }
    if (profile.queues_dropped) {
      byId("more").append(make("p", { class: "quiet" }, `Of ${several(profile.queues_dropped, "more queue", "more queues")} nothing is known, because there were too many.`));
      byId("more").hidden = false;
    }
  }

  const MOST_PARTS = 50;

  function cellsOf(columns, row) {
    return columns.map(([label, shown, words]) =>
      make("td", { role: "cell", class: words ? "words" : null, "data-label": label }, shown(row)),
    );
  }

  function poolPart(pool) {
    const whole = pool.worker_seconds || 1;
    const parts = [
      ["worked", pool.working_seconds, "var(--group-2)"],
      ["waited for others", pool.waiting_seconds, "var(--group-1)"],
      ["had no call", pool.idle_seconds, "var(--group-8)"],
    ];
    const bar = make("div", { class: "parts", "aria-hidden": "true" });
    for (const [, seconds, colour] of parts) {
      const part = make("span");
      part.style.width = `${(100 * seconds) / whole}%`;
      part.style.background = colour;
      bar.append(part);
    }
    const legend = parts.map(([words, seconds, colour]) => {
      const square = make("span", { class: "swatch", "aria-hidden": "true" });
      square.style.setProperty("--colour", colour);
      return make("span", { class: "part" }, square, ` ${words} ${percent(seconds / whole)}`);
    });
    const more = [
      `${several(pool.calls, "call", "calls")} began`,
      pool.failed ? `${count(pool.failed)} failed` : "",
      pool.cancelled ? `${count(pool.cancelled)} were cancelled` : "",
      pool.running ? `${count(pool.running)} had not ended` : "",
      pool.pending ? `${count(pool.pending)} had not begun` : "",
    ].filter(Boolean);
    const columns = [
      ["Calls", (row) => count(row.calls)],
      ["Failed", (row) => count(row.failed)],
      ["Waited in the pool", (row) => duration(row.wait.seconds)],
      ["p50", (row) => duration(row.wait.p50)],
      ["p99", (row) => duration(row.wait.p99)],
      ["Max", (row) => duration(row.wait.max)],
      ["Ran", (row) => duration(row.run.seconds)],
      ["p50 ", (row) => duration(row.run.p50)],
      ["p99 ", (row) => duration(row.run.p99)],
      ["Max ", (row) => duration(row.run.max)],
      ["Function", (row) => functionName(row.function), true],
    ];
    const head = columns.map(([label, , words]) => make("th", { role: "columnheader", scope: "col", class: words ? "words" : null }, label));
    const rows = pool.functions.slice(0, MOST_PARTS).map((row) => make("tr", { role: "row", class: "object" }, ...cellsOf(columns, row)));
    return make(
      "div",
      { class: "pool" },
      make("h3", {}, visible(pool.pool), pool.objects > 1 ? ` (${count(pool.objects)} pools)` : ""),
      make("p", {}, `${several(pool.workers, "worker", "workers")}: `, ...legend),
      bar,
      make("p", { class: "quiet" }, `${listed(more)}.`),
      rows.length ? make("table", { class: "plain", role: "table" }, make("thead", {}, make("tr", { role: "row" }, ...head)), make("tbody", {}, ...rows)) : "",
    );
  }

  function functionName(frame) {
    if (!frame) {
      return "functions for which there was no room";
    }
    return frame.file ? `${visible(frame.function)} (${at(frame)})` : visible(frame.function);
  }

  function queuePart(queue) {
    const rate = (number) => (queue.seconds ? ` (${(number / queue.seconds).toPrecision(3)} a second)` : "");
    const most = queue.capacity ? `${count(queue.greatest_length)} of ${count(queue.capacity)}` : count(queue.greatest_length);
    const waits = [
      queue.full_seconds ? `${duration(queue.full_seconds)} for room in it` : "",
      queue.empty_seconds ? `${duration(queue.empty_seconds)} for an item` : "",
    ].filter(Boolean);
    return make(
      "div",
      { class: "queue" },
      make("h3", {}, visible(queue.queue)),
      make("p", {}, `${several(queue.puts, "item", "items")} put${rate(queue.puts)}, ${count(queue.gets)} taken${rate(queue.gets)}. It had at most ${most}, and ${count(queue.length)} at last.`, waits.length ? ` Threads waited ${waits.join(" and ")}.` : ""),
      lengthPicture(queue),
    );
  }

  // How long the queue was over time, as steps.
  function lengthPicture(queue) {
    if (queue.samples.length < 2) {
      return "";
    }
    const [width, height] = [1000, 60];
    const most = Math.max(1, queue.capacity || queue.greatest_length);
    const whole = profile.seconds || 1;
    const across = (seconds) => ((seconds / whole) * width).toFixed(1);
    const up = (length) => (height - (Math.min(length, most) / most) * height).toFixed(1);
    let path = `M${across(queue.samples[0][0])},${height}`;
    for (const [seconds, length] of queue.samples) {
      path += `H${across(seconds)}V${up(length)}`;
    }
    path += `H${across(queue.begins + queue.seconds)}V${height}Z`;
    const picture = byId("length-picture").content.firstElementChild.cloneNode(true);
    picture.setAttribute("aria-label", `Items over time: at most ${count(queue.greatest_length)}, ${count(queue.length)} at last`);
    picture.firstElementChild.setAttribute("d", path);
    return make("figure", {}, picture, make("figcaption", { class: "quiet" }, `0 to ${count(most)} items, in ${duration(profile.seconds)}`));
  }

  // ---- The timeline

  // So many waits have sums of their own, for pictures in which they are too short to be seen.
  const BLOCK = 256;

  // The waits of one thread. They are in the order in which they began. A wait may be inside another one, of a signal
  // handler.
  class Thread {
    constructor(described, timeline) {
      this.name = visible(described.name);
      this.number = described.number;
      this.count = described.waits;
      this.begin = new Float64Array(this.count);
      this.end = new Float64Array(this.count);
      this.site = new Uint16Array(this.count);
      this.by = new Uint32Array(this.count);
      this.gil = new Uint8Array(this.count);
      this.group = new Uint8Array(this.count);
      // How late the waits up to this one end: it only grows, so it can be searched.
      this.reach = new Float64Array(this.count);
      this.unpack(described.packed, timeline.groupOfSite);
      this.sumBlocks();
    }

    // docs: `Timeline::packed` in src/diagnostics/timeline.rs.
    unpack(base64, groupOfSite) {
      const bytes = atob(base64);
      let position = 0;
      const next = () => {
        let byte = bytes.charCodeAt(position++);
        let number = byte & 0x7f;
        for (let factor = 0x80; byte & 0x80; factor *= 0x80) {
          byte = bytes.charCodeAt(position++);
          number += (byte & 0x7f) * factor;
        }
        return number;
      };
      let begin = 0;
      let reach = 0;
      for (let index = 0; index < this.count; index++) {
        begin += next();
        this.begin[index] = begin;
        this.end[index] = begin + next();
        this.site[index] = next();
        this.by[index] = next();
        this.gil[index] = bytes.charCodeAt(position++);
        this.group[index] = groupOfSite[this.site[index]];
        reach = Math.max(reach, this.end[index]);
        this.reach[index] = reach;
      }
    }

    sumBlocks() {
      const blocks = Math.ceil(this.count / BLOCK);
      this.blockReach = new Float64Array(blocks);
      this.blockSums = new Float64Array(blocks * GROUPS);
      for (let index = 0; index < this.count; index++) {
        const block = Math.floor(index / BLOCK);
        this.blockReach[block] = Math.max(this.blockReach[block], this.end[index]);
        this.blockSums[block * GROUPS + this.group[index]] += this.end[index] - this.begin[index];
      }
    }

    // The first wait that does not end before this moment.
    firstReaching(when) {
      return lowest(this.count, (index) => this.reach[index] >= when);
    }

    // How many waits begin before or at this moment.
    begunBy(when) {
      return lowest(this.count, (index) => this.begin[index] > when);
    }
  }

  // The lowest index that is far enough; all that follow are.
  function lowest(length, isFar) {
    let [low, high] = [0, length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (isFar(middle)) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low;
  }

  class Timeline {
    constructor(described) {
      this.sites = described.sites;
      this.groupOfSite = described.sites.map(([object]) => (object < 0 ? OTHERS : groupOf[object]));
      this.names = described.names;
      this.described = described.threads;
      this.threads = [];
      this.whole = Math.max(1, profile.seconds * 1e9);
      this.from = 0;
      this.to = this.whole;
      this.isHidden = new Array(GROUPS).fill(false);
      this.chosen = null; // the wait that is kept below: { row, index }
      this.row = -1; // the row of the keyboard
      this.rowHeight = 24;
      this.isWanted = false;
      this.section = byId("timeline");
      this.section.hidden = false;
      this.box = byId("rows");
      this.bars = byId("bars");
      this.tip = byId("tip");
    }

    // Reads the waits, a few threads at a time, so that the page stays alive.
    read() {
      byId("range").textContent = `Reading ${several(this.described.reduce((sum, each) => sum + each.waits, 0), "wait", "waits")}\u2026`;
      const step = () => {
        const until = performance.now() + 30;
        while (this.threads.length < this.described.length && performance.now() < until) {
          const next = this.threads.length;
          this.threads.push(new Thread(this.described[next], this));
          this.described[next] = null;
        }
        if (this.threads.length < this.described.length) {
          setTimeout(step);
        } else {
          this.ready();
        }
      };
      setTimeout(step);
    }

    ready() {
      for (const thread of this.threads) {
        this.whole = Math.max(this.whole, thread.count ? thread.reach[thread.count - 1] : 0);
      }
      this.to = this.whole;
      this.setUpLegend();
      this.setUpButtons();
      this.setUpPointer();
      this.setUpKeys();
      new ResizeObserver(() => this.resized()).observe(this.box);
      this.box.addEventListener("scroll", () => this.want());
      whenColoursChange.push(() => this.coloursChanged());
      this.coloursChanged();
      this.resized();
      this.section.dataset.ready = "true";
    }

    // ---- What is shown

    setUpLegend() {
      const groups = new Map();
      for (const [index, object] of profile.objects.entries()) {
        const group = groups.get(groupOf[index]) || { names: [], seconds: 0 };
        group.names.push(objectName(object));
        group.seconds += object.seconds;
        groups.set(groupOf[index], group);
      }
      if (!groups.has(OTHERS) && this.sites.some(([object]) => object < 0)) {
        groups.set(OTHERS, { names: [], seconds: profile.dropped.waiting.seconds + profile.dropped.idle.seconds });
      }
      for (const [group, { names, seconds }] of [...groups].sort(([one], [other]) => one - other)) {
        const name =
          group === FOR_WORK ? "waits for work" : group !== OTHERS || names.length === 1 ? names[0] : `${several(names.length, "other object", "other objects")}`;
        const button = make(
          "button",
          {
            type: "button",
            "aria-pressed": "true",
            title: "Show or hide",
            onclick: () => {
              this.isHidden[group] = !this.isHidden[group];
              button.setAttribute("aria-pressed", String(!this.isHidden[group]));
              this.countWaiting();
              this.want();
            },
          },
          swatch(group),
          make("span", {}, name),
          make("small", {}, duration(seconds)),
        );
        byId("legend").append(button);
      }
      byId("legend").append(make("span", { class: "quiet" }, "The dark end of a bar: woken, and waiting for the interpreter (GIL)."));
    }

    show(from, to) {
      const length = Math.min(this.whole, Math.max(50, to - from));
      this.from = Math.min(Math.max(0, from), this.whole - length);
      this.to = this.from + length;
      this.want();
    }

    zoom(factor, around = (this.from + this.to) / 2) {
      const length = Math.min(this.whole, Math.max(50, (this.to - this.from) * factor));
      const part = (around - this.from) / (this.to - this.from);
      this.show(around - part * length, around - part * length + length);
    }

    move(part) {
      const by = (this.to - this.from) * part;
      this.show(this.from + by, this.to + by);
    }

    setUpButtons() {
      const buttons = {
        "zoom-in": () => this.zoom(0.5),
        "zoom-out": () => this.zoom(2),
        earlier: () => this.move(-0.25),
        later: () => this.move(0.25),
        "zoom-all": () => this.show(0, this.whole),
      };
      for (const [id, act] of Object.entries(buttons)) {
        byId(id).addEventListener("click", act);
      }
    }

    setUpKeys() {
      const keys = {
        "+": () => this.zoom(0.5),
        "=": () => this.zoom(0.5),
        "-": () => this.zoom(2),
        0: () => this.show(0, this.whole),
        ArrowLeft: () => this.move(-0.1),
        ArrowRight: () => this.move(0.1),
        PageUp: () => this.move(-0.9),
        PageDown: () => this.move(0.9),
        Home: () => this.show(0, this.to - this.from),
        End: () => this.show(this.whole - (this.to - this.from), this.whole),
        ArrowUp: () => this.chooseRow(this.row - 1),
        ArrowDown: () => this.chooseRow(this.row + 1),
        n: () => this.step(1),
        p: () => this.step(-1),
        Escape: () => this.choose(null),
      };
      this.box.addEventListener("keydown", (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(keys, event.key)) {
          return;
        }
        event.preventDefault();
        this.tip.hidden = true;
        keys[event.key]();
      });
      this.box.addEventListener("focus", () => {
        if (this.row < 0 && this.box.matches(":focus-visible")) {
          this.row = 0;
        }
        this.want();
      });
      this.box.addEventListener("blur", () => this.want());
    }

    chooseRow(row) {
      this.row = Math.min(Math.max(0, row), this.threads.length - 1);
      const top = this.row * this.rowHeight;
      if (top < this.box.scrollTop) {
        this.box.scrollTop = top;
      } else if (top + this.rowHeight > this.box.scrollTop + this.box.clientHeight) {
        this.box.scrollTop = top + this.rowHeight - this.box.clientHeight;
      }
      const thread = this.threads[this.row];
      const first = this.nextShown(thread, thread.firstReaching(this.from), 1);
      if (first >= 0 && thread.begin[first] < this.to) {
        this.choose({ row: this.row, index: first });
      } else {
        this.choose(null);
        byId("selected").textContent = `${thread.name}: no wait in this part of the timeline.`;
      }
    }

    // From this wait on, the first that is shown: its index, or -1.
    nextShown(thread, index, direction) {
      while (index >= 0 && index < thread.count && this.isHidden[thread.group[index]]) {
        index += direction;
      }
      return index < thread.count ? index : -1;
    }

    // Chooses the next wait of the thread that can be told from this one in the picture.
    step(direction) {
      this.row = Math.max(0, this.row);
      const thread = this.threads[this.row];
      const pixel = (this.to - this.from) / this.width;
      let index;
      if (this.chosen && this.chosen.row === this.row) {
        const now = this.chosen.index;
        if (direction > 0) {
          index = Math.max(now + 1, Math.min(thread.begunBy(thread.begin[now] + pixel), thread.count - 1));
        } else {
          index = Math.min(now - 1, lowest(thread.count, (each) => thread.begin[each] >= thread.begin[now] - pixel));
        }
      } else {
        index = direction > 0 ? thread.firstReaching(this.from) : thread.begunBy(this.to) - 1;
      }
      index = this.nextShown(thread, index, direction);
      if (index < 0) {
        return;
      }
      const [begin, end] = [thread.begin[index], thread.end[index]];
      if (end < this.from || begin > this.to) {
        const half = (this.to - this.from) / 2;
        this.show(begin - half, begin + half);
      }
      this.choose({ row: this.row, index });
    }

    choose(found) {
      this.chosen = found;
      byId("selected").replaceChildren(found ? this.described_wait(this.threads[found.row], found.index, Infinity) : "");
      if (found) {
        this.row = found.row;
      }
      this.want();
    }

    // ---- The pointer

    setUpPointer() {
      const pointers = new Map();
      let dragged = 0;
      let isFocused = false;
      const canvas = this.bars;
      const inCanvas = (event) => {
        const box = canvas.getBoundingClientRect();
        return { x: event.clientX - box.left, y: event.clientY - box.top };
      };
      canvas.addEventListener("pointerdown", (event) => {
        if (event.button > 0) {
          return;
        }
        isFocused = document.activeElement === this.box;
        dragged = 0;
        pointers.set(event.pointerId, inCanvas(event));
        canvas.setPointerCapture(event.pointerId);
      });
      canvas.addEventListener("pointermove", (event) => {
        const now = inCanvas(event);
        const before = pointers.get(event.pointerId);
        if (!before) {
          if (event.pointerType !== "touch") {
            this.point(now);
          }
          return;
        }
        const perPixel = (this.to - this.from) / this.width;
        if (pointers.size === 1) {
          dragged += Math.abs(now.x - before.x);
          if (dragged > 4) {
            this.box.classList.add("dragging");
            this.tip.hidden = true;
            this.show(this.from - (now.x - before.x) * perPixel, this.to - (now.x - before.x) * perPixel);
          }
        } else if (pointers.size === 2) {
          const other = [...pointers].find(([id]) => id !== event.pointerId)[1];
          const distance = (point) => Math.max(10, Math.abs(point.x - other.x));
          dragged = 99;
          this.zoom(distance(before) / distance(now), this.momentAt(other.x));
        }
        pointers.set(event.pointerId, now);
      });
      const release = (event) => {
        const point = pointers.get(event.pointerId);
        pointers.delete(event.pointerId);
        this.box.classList.remove("dragging");
        if (event.type === "pointerup" && point && dragged <= 4) {
          const found = this.find(point);
          this.choose(found && found.index >= 0 ? found : null);
          this.tip.hidden = true;
        }
      };
      canvas.addEventListener("pointerup", release);
      canvas.addEventListener("pointercancel", release);
      canvas.addEventListener("pointerleave", () => {
        this.tip.hidden = true;
      });
      canvas.addEventListener("dblclick", (event) => this.zoom(0.25, this.momentAt(inCanvas(event).x)));
      let hiding = 0;
      this.box.addEventListener(
        "wheel",
        (event) => {
          const unit = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1;
          const [across, down] = [event.deltaX * unit, event.deltaY * unit];
          if (Math.abs(across) > Math.abs(down)) {
            event.preventDefault();
            this.move(across / this.width);
          } else if (event.ctrlKey || event.metaKey || document.activeElement === this.box) {
            event.preventDefault();
            const factor = Math.exp(Math.max(-0.7, Math.min(0.7, down * (event.ctrlKey && Math.abs(down) < 20 ? 0.02 : 0.003))));
            this.zoom(factor, this.momentAt(inCanvas(event).x));
          } else {
            // The page scrolls; nobody should be caught here on the way down.
            byId("hint").textContent = "Hold Ctrl to zoom, or click first";
            byId("hint").hidden = false;
            clearTimeout(hiding);
            hiding = setTimeout(() => {
              byId("hint").hidden = true;
            }, 900);
          }
          this.tip.hidden = true;
        },
        { passive: false },
      );
      const overview = byId("overview");
      const follow = (event) => {
        const box = overview.getBoundingClientRect();
        const middle = (Math.max(0, event.clientX - box.left - this.gutter) / this.width) * this.whole;
        const half = (this.to - this.from) / 2;
        this.show(middle - half, middle + half);
      };
      overview.addEventListener("pointerdown", (event) => {
        overview.setPointerCapture(event.pointerId);
        follow(event);
      });
      overview.addEventListener("pointermove", (event) => {
        if (overview.hasPointerCapture(event.pointerId)) {
          follow(event);
        }
      });
    }

    momentAt(x) {
      return this.from + ((x - this.gutter) / this.width) * (this.to - this.from);
    }

    // The wait at a point, or how many there are if they are too short to be told apart.
    find({ x, y }) {
      const row = Math.floor((y + this.box.scrollTop) / this.rowHeight);
      const thread = this.threads[row];
      if (!thread || x < this.gutter) {
        return null;
      }
      const pixel = (this.to - this.from) / this.width;
      const when = this.momentAt(x);
      const near = { row, index: -1, count: 0, sum: 0 };
      let nearest = Infinity;
      let longest = -1;
      const first = thread.firstReaching(when - 3 * pixel);
      const last = Math.min(thread.begunBy(when + 3 * pixel), first + 200000);
      for (let index = first; index < last; index++) {
        const [begin, end] = [thread.begin[index], thread.end[index]];
        if (end < when - 3 * pixel || this.isHidden[thread.group[index]]) {
          continue;
        }
        const distance = Math.max(0, begin - when, when - end);
        if (distance <= pixel / 2 && end - begin < pixel) {
          near.count += 1;
          near.sum += end - begin;
        }
        // Of those that are as near, the innermost; but of many in one pixel, the longest.
        const isShort = end - begin < pixel;
        const rank = isShort && distance <= pixel / 2 ? 0 : distance;
        if (rank < nearest || (rank === nearest && (!isShort || end - begin > longest))) {
          nearest = rank;
          longest = end - begin;
          near.index = index;
        }
      }
      return near;
    }

    point(point) {
      const found = this.find(point);
      if (!found || found.index < 0) {
        this.tip.hidden = true;
        return;
      }
      const thread = this.threads[found.row];
      this.tip.replaceChildren(this.described_wait(thread, found.index, 6));
      if (found.count > 1) {
        const many = `${several(found.count, "wait", "waits")} at this point, ${duration(found.sum / 1e9)} together; this is the longest. Zoom in to see them.`;
        this.tip.prepend(make("p", { class: "quiet" }, many));
      }
      this.tip.hidden = false;
      const canvas = this.bars.getBoundingClientRect();
      const plot = byId("plot").getBoundingClientRect();
      const left = Math.min(point.x + 14, plot.width - this.tip.offsetWidth);
      const top = canvas.top - plot.top + point.y;
      const isBelow = canvas.top + point.y + 18 + this.tip.offsetHeight < innerHeight;
      this.tip.style.left = `${Math.max(0, left)}px`;
      this.tip.style.top = `${isBelow ? top + 18 : top - this.tip.offsetHeight - 12}px`;
    }

    // What is said of a wait, with so many functions at most.
    described_wait(thread, index, most) {
      const [object, place] = this.sites[thread.site[index]];
      const row = object < 0 ? null : profile.objects[object];
      const stack = row ? row.places[place].stack : [];
      const by = thread.by[index];
      const length = (thread.end[index] - thread.begin[index]) / 1e9;
      const ended =
        by === 0
          ? "Nobody ended it: a deadline, a signal, or unknown."
          : by === 1
            ? "It had not ended when the profile did."
            : `Ended by ${visible(this.names[by - 1] || `thread ${by - 1}`)}.`;
      const gil = thread.gil[index] / 255;
      const rest = stack.length - most;
      return make(
        "div",
        { class: "wait" },
        make("h3", {}, swatch(thread.group[index]), make("span", {}, row ? objectName(row) : "at a place that was not kept")),
        make("p", {}, `${thread.name} waited ${duration(length)}, from ${moment(thread.begin[index], 1000)} on. ${ended}`),
        gil >= 0.01 ? make("p", {}, `${percent(gil)} of that it was awake, and waited for the interpreter (GIL).`) : null,
        stack.length ? stackList(stack.slice(0, most)) : make("p", { class: "quiet" }, "The thread was in no function of the program."),
        rest > 0 ? make("p", { class: "quiet" }, `and ${several(rest, "more function", "more functions")}; click to see all`) : null,
      );
    }

    // ---- The picture

    coloursChanged() {
      this.colours = colours();
      // At once, because what is printed is not drawn later.
      this.draw();
    }

    resized() {
      const whole = this.box.clientWidth;
      this.rowHeight = whole < 600 ? 28 : this.threads.length > 28 ? 18 : 24;
      // Room for the longest name, if that is not too much. On a phone the names are above the bars.
      this.gutter = whole < 600 ? 0 : Math.min(Math.round(whole * 0.2), this.nameWidth() + 20);
      this.width = Math.max(50, whole - this.gutter);
      byId("space").style.height = `${Math.max(1, this.threads.length) * this.rowHeight}px`;
      this.stripCanvas = make("canvas", { width: String(Math.ceil(this.width)), height: "1" });
      this.strip = this.stripCanvas.getContext("2d").createImageData(Math.ceil(this.width), 1);
      this.countWaiting();
      this.draw();
    }

    nameWidth() {
      const context = this.bars.getContext("2d");
      context.font = "12px system-ui, sans-serif";
      const widths = this.threads.slice(0, 1000).map((thread) => context.measureText(thread.name).width);
      return Math.ceil(Math.max(100, ...widths));
    }

    want() {
      if (!this.isWanted) {
        this.isWanted = true;
        requestAnimationFrame(() => this.draw());
      }
    }

    canvasOf(id, height) {
      const canvas = byId(id);
      const scale = Math.min(3, devicePixelRatio || 1);
      const width = this.gutter + this.width;
      const [columns, lines] = [Math.round(width * scale), Math.round(height * scale)];
      if (canvas.width !== columns || canvas.height !== lines) {
        canvas.width = columns;
        canvas.height = lines;
        canvas.style.height = `${height}px`;
      }
      const context = canvas.getContext("2d");
      context.setTransform(scale, 0, 0, scale, 0, 0);
      context.clearRect(0, 0, width, height);
      context.font = "12px system-ui, sans-serif";
      context.textBaseline = "middle";
      return context;
    }

    draw() {
      this.isWanted = false;
      if (!this.width) {
        return;
      }
      this.drawOverview();
      this.drawAxis();
      const height = this.box.clientHeight;
      const context = this.canvasOf("bars", Math.min(height, Math.max(1, this.threads.length) * this.rowHeight));
      const top = this.box.scrollTop;
      const first = Math.floor(top / this.rowHeight);
      const last = Math.min(this.threads.length, Math.ceil((top + height) / this.rowHeight));
      for (let row = first; row < last; row++) {
        this.drawRow(context, row, row * this.rowHeight - top);
      }
      const all = this.from <= 0 && this.to >= this.whole;
      const range = byId("range");
      const apart = (this.to - this.from) / 1000;
      const length = all ? "all" : duration((this.to - this.from) / 1e9);
      const text = `${moment(this.from, apart, this.to)} to ${moment(this.to, apart)} (${length})`;
      if (range.textContent !== text) {
        range.textContent = text;
      }
      range.dataset.from = this.from;
      range.dataset.to = this.to;
    }

    drawRow(context, row, y) {
      const thread = this.threads[row];
      const { gutter, width, from, to, rowHeight } = this;
      const scale = width / (to - from);
      const pixel = 1 / scale;
      const nameHeight = gutter ? 0 : 11;
      const gap = rowHeight < 20 ? 2 : 4;
      const [top, height] = [y + gap / 2 + nameHeight, rowHeight - gap - nameHeight];
      context.fillStyle = this.colours.free;
      context.fillRect(gutter, top, width, height);
      context.save();
      context.beginPath();
      context.rect(gutter, y, width, rowHeight);
      context.clip();
      // Waits that are shorter than a pixel are added up by column, in a strip that is one pixel high: a rectangle for
      // each would take too long.
      const sums = new Float64Array(GROUPS);
      const strip = this.strip;
      const parts = this.colours.parts;
      let isStripUsed = false;
      let column = -1;
      strip.data.fill(0);
      const flush = () => {
        if (column < 0) {
          return;
        }
        let [most, all] = [0, 0];
        for (let group = 0; group < GROUPS; group++) {
          all += sums[group];
          most = sums[group] > sums[most] ? group : most;
        }
        if (all > 0 && column < strip.width) {
          strip.data.set(parts[most], column * 4);
          strip.data[column * 4 + 3] = 255 * Math.min(1, 0.3 + (0.7 * all) / pixel);
          isStripUsed = true;
        }
        sums.fill(0);
        column = -1;
      };
      const columnOf = (when) => Math.max(0, Math.floor((when - from) * scale));
      const wanted = (at) => {
        if (at !== column) {
          flush();
          column = at;
        }
      };
      for (let index = thread.firstReaching(from); index < thread.count && thread.begin[index] < to; ) {
        if (index % BLOCK === 0) {
          const block = index / BLOCK;
          if (thread.blockReach[block] - thread.begin[index] < pixel) {
            wanted(columnOf(thread.begin[index]));
            for (let group = 0; group < GROUPS; group++) {
              sums[group] += this.isHidden[group] ? 0 : thread.blockSums[block * GROUPS + group];
            }
            index += BLOCK;
            continue;
          }
        }
        const [begin, end, group] = [thread.begin[index], thread.end[index], thread.group[index]];
        if (!this.isHidden[group] && end >= from) {
          if (end - begin < pixel) {
            wanted(columnOf(begin));
            sums[group] += end - begin;
          } else {
            flush();
            this.drawBar(context, thread, index, (begin - from) * scale, (end - from) * scale, top, height);
          }
        }
        index += 1;
      }
      flush();
      if (isStripUsed) {
        this.stripCanvas.getContext("2d").putImageData(strip, 0, 0);
        context.imageSmoothingEnabled = false;
        context.drawImage(this.stripCanvas, 0, 0, strip.width, 1, gutter, top, strip.width, height);
      }
      if (this.chosen && this.chosen.row === row) {
        const index = this.chosen.index;
        const left = gutter + (thread.begin[index] - from) * scale;
        context.strokeStyle = this.colours.text;
        context.lineWidth = 2;
        context.strokeRect(left - 1, top - 1, Math.max(3, (thread.end[index] - thread.begin[index]) * scale + 2), height + 2);
      }
      context.restore();
      this.drawName(context, thread, row, y);
    }

    drawBar(context, thread, index, left, right, top, height) {
      const { gutter, width } = this;
      const [start, end] = [Math.max(-2, left), Math.min(width + 2, right)];
      const group = thread.group[index];
      context.fillStyle = this.colours.groups[group];
      // A gap between bars that touch, if there is room for one.
      const size = Math.max(1, end - start - (end - start > 3 ? 0.5 : 0));
      const inset = group === FOR_WORK ? Math.floor(height / 3) : 0;
      context.fillRect(gutter + start, top + inset, size, height - 2 * inset);
      const awake = Math.max(start, right - ((right - left) * thread.gil[index]) / 255);
      if (end - awake >= 1 && !inset) {
        context.fillStyle = this.colours.gil;
        context.fillRect(gutter + awake, top, end - awake, height);
      }
      if (size > 70 && !inset && height >= 12) {
        const object = this.sites[thread.site[index]][0];
        const name = object < 0 ? "" : objectName(profile.objects[object]);
        const room = Math.max(0, Math.min(awake, end) - Math.max(0, start) - 10);
        const shown = fitted(context, name, room);
        if (shown.length > 3) {
          context.fillStyle = contrasting(this.colours.groups[group]);
          context.fillText(shown, gutter + Math.max(0, start) + 5, top + height / 2 + 1);
        }
      }
    }

    drawName(context, thread, row, y) {
      const { gutter, rowHeight } = this;
      const isCurrent = row === this.row && (document.activeElement === this.box || this.chosen);
      context.fillStyle = isCurrent ? this.colours.accent : this.colours.text;
      if (gutter) {
        context.fillText(fitted(context, thread.name, gutter - 16, true), 8, y + rowHeight / 2);
        if (isCurrent) {
          context.fillRect(0, y + 3, 3, rowHeight - 5);
        }
      } else {
        context.font = "11px system-ui, sans-serif";
        context.fillText(fitted(context, thread.name, this.width - 8, true), 4, y + 7);
        context.font = "12px system-ui, sans-serif";
      }
    }

    drawAxis() {
      const { gutter, width, from, to } = this;
      const context = this.canvasOf("axis", 22);
      const least = ((to - from) * 80) / width;
      const power = 10 ** Math.floor(Math.log10(least));
      const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= least);
      context.fillStyle = this.colours.quiet;
      for (let tick = Math.ceil(from / step) * step; tick <= to; tick += step) {
        const x = gutter + ((tick - from) / (to - from)) * width;
        context.fillRect(x, 16, 1, 6);
        const text = moment(tick, step, to);
        const half = context.measureText(text).width / 2;
        context.fillText(text, Math.min(Math.max(x - half, 0), gutter + width - 2 * half), 8);
      }
    }

    // How many threads wait at each moment, for the picture of the whole.
    countWaiting() {
      const columns = Math.max(1, Math.floor(this.width));
      const sums = new Float64Array(columns + 1);
      const changes = new Float64Array(columns + 2);
      const scale = columns / this.whole;
      for (const thread of this.threads) {
        let covered = 0;
        for (let index = 0; index < thread.count; index++) {
          if (this.isHidden[thread.group[index]]) {
            continue;
          }
          // A wait inside another one counts once.
          const begin = Math.max(covered, thread.begin[index]) * scale;
          const end = thread.end[index] * scale;
          if (end <= begin) {
            continue;
          }
          covered = thread.end[index];
          const [first, last] = [Math.floor(begin), Math.min(columns, Math.floor(end))];
          if (first === last) {
            sums[first] += end - begin;
          } else {
            sums[first] += first + 1 - begin;
            sums[last] += end - last;
            changes[first + 1] += 1;
            changes[last] -= 1;
          }
        }
      }
      let inside = 0;
      this.waiting = sums.map((sum, column) => {
        inside += changes[column];
        return sum + inside;
      });
    }

    drawOverview() {
      const { gutter, width, whole } = this;
      const height = 44;
      const context = this.canvasOf("overview", height);
      const most = Math.max(1, this.threads.length);
      context.fillStyle = this.colours.free;
      context.fillRect(gutter, 0, width, height);
      context.fillStyle = this.colours.waiting;
      for (let column = 0; column < Math.floor(width); column++) {
        const high = Math.min(1, this.waiting[column] / most) * height;
        context.fillRect(gutter + column, height - high, 1, high);
      }
      const [left, right] = [(this.from / whole) * width, (this.to / whole) * width];
      context.strokeStyle = this.colours.accent;
      context.lineWidth = 2;
      context.strokeRect(gutter + left + 1, 1, Math.max(3, right - left - 2), height - 2);
      if (gutter) {
        context.fillStyle = this.colours.quiet;
        context.fillText(fitted(context, "threads that wait", gutter - 16), 8, height / 2);
      }
    }
  }

  // As much of the text as has room. With its end, if the texts differ there.
  function fitted(context, text, room, withEnd = false) {
    if (context.measureText(text).width <= room) {
      return text;
    }
    const cut = (length) => {
      const atEnd = withEnd ? Math.floor(length / 2) : 0;
      return `${text.slice(0, length - atEnd)}\u2026${text.slice(text.length - atEnd)}`;
    };
    const length = lowest(text.length, (each) => context.measureText(cut(each + 1)).width > room);
    return length > 0 ? cut(length) : "";
  }

  // The red, green and blue of a colour as the browser writes it.
  function partsOf(colour) {
    const parts = (colour.match(/[\d.]+/g) || [0, 0, 0]).map(Number).slice(0, 3);
    return colour.startsWith("color(") ? parts.map((part) => part * 255) : parts;
  }

  // Black or white, whichever can be read on this colour.
  function contrasting(colour) {
    const [red, green, blue] = partsOf(colour);
    return 0.299 * red + 0.587 * green + 0.114 * blue > 130 ? "#000" : "#fff";
  }

  function setUpTimeline() {
    const described = parsed("timeline-data");
    byId("timeline-data").textContent = "";
    if (described === null || !described.threads.length) {
      return;
    }
    new Timeline(described).read();
  }

  setUpTheme();
  setUpTables();
  setUpMore();
  // After the first picture of the page, since it may be long.
  requestAnimationFrame(() => setTimeout(setUpTimeline));
})();
