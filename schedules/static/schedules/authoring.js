// Opens the editors of the course outline as dialogs. Without this script they are pages of their own.
"use strict";

(() => {
  const dialog = document.getElementById("editor");
  if (!dialog?.showModal) return;
  const said = document.getElementById("said");
  let opener = "";
  let busy = false;

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.matches("[data-opens]")) {
      event.preventDefault();
      once(() => open(form));
    } else if (dialog.contains(form)) {
      event.preventDefault();
      once(() => (form.matches("[data-cancels]") ? dialog.close() : save(form)));
    }
  });
  // Escape while saving would hide whether it worked.
  dialog.addEventListener("cancel", (event) => busy && event.preventDefault());
  dialog.addEventListener("input", (event) => count(event.target));
  dialog.addEventListener("click", (event) => {
    if (event.target.matches("[data-adds]")) reveal(true);
  });
  dialog.addEventListener("close", () => {
    dialog.replaceChildren();
    // The outline may have been drawn anew, so the button is found by its name.
    document.getElementById(opener)?.focus();
  });
  promise();

  async function once(action) {
    if (busy) return;
    busy = true;
    try {
      await action();
    } finally {
      busy = false;
    }
  }

  function promise() {
    for (const button of document.querySelectorAll("[data-opens] button")) button.setAttribute("aria-haspopup", "dialog");
  }

  async function open(form) {
    try {
      const editor = await part(form.action, "[data-editor]");
      opener = form.querySelector("button").id;
      said.textContent = "";
      dialog.replaceChildren(editor);
      dialog.querySelectorAll("textarea").forEach(count);
      reveal(false);
      dialog.showModal();
    } catch {
      // Logged out, switched off meanwhile, no network: the browser shows the page itself, or why it cannot.
      form.submit();
    }
  }

  async function part(address, selector) {
    const response = await fetch(address, { headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const found = page.querySelector(selector);
    if (!response.ok || !found) throw new Error(`${response.status} ${address}`);
    return document.adoptNode(found);
  }

  function count(field) {
    const { limit, count: within, over } = field.form.dataset;
    const length = [...oneLine(field.value)].length;
    const line = document.getElementById(field.id.replace("text", "count"));
    const text = length > limit ? over : within;
    line.textContent = text.replace("{count}", length).replace("{limit}", limit);
    line.classList.toggle("over", length > limit);
  }

  // As the server stores and counts a text: code points, on one line.
  function oneLine(text) {
    const lines = text.replaceAll("\t", " ").split(/[\n\v\f\r\x1c-\x1e\x85\u2028\u2029]/);
    return lines.map((line) => line.trim()).filter(Boolean).join(" ");
  }

  // Shows the fields that hold a text and one more; the others come one by one.
  function reveal(further) {
    const add = dialog.querySelector("[data-adds]");
    if (!add) return;
    const fields = [...dialog.querySelectorAll("textarea")];
    let visible = fields.findLastIndex((field) => field.value || field.hasAttribute("aria-invalid")) + 2;
    if (further) visible = fields.filter((field) => !field.parentElement.hidden).length + 1;
    fields.forEach((field, index) => (field.parentElement.hidden = index >= visible));
    add.hidden = visible >= fields.length;
    if (further) fields[visible - 1]?.focus();
  }

  async function save(form) {
    let answer = {};
    form.setAttribute("aria-busy", "true");
    try {
      const response = await fetch(form.action, {
        method: "POST",
        headers: { Accept: "application/json" },
        body: new URLSearchParams(new FormData(form)),
      });
      answer = await response.json();
    } catch {
      // No network, or a page where an answer was due: neither holds a message.
    }
    form.removeAttribute("aria-busy");
    if (answer.message) await saved(answer.message);
    else refused(form, answer.error ?? { message: dialog.dataset.failed, faults: [] });
  }

  async function saved(message) {
    try {
      document.getElementById("outline").replaceWith(await part(location.pathname, "#outline"));
    } catch {
      location.reload();
      return;
    }
    promise();
    dialog.close();
    said.textContent = message;
  }

  function refused(form, error) {
    const problem = form.querySelector("#problem");
    const heading = element("p", "");
    heading.append(element("strong", error.message));
    const faults = element("ul", "");
    faults.className = "faults";
    faults.append(...error.faults.map(faultLine));
    mark(form, error.faults);
    const stored = problem.querySelector("#stored");
    problem.replaceChildren(heading, faults, ...(stored ? [stored] : []));
    if (error.stored) {
      stored.querySelector("ul").replaceChildren(...error.stored.map((text) => element("li", text)));
      form.elements.shown.value = error.shown;
    }
    if (stored) stored.hidden = !error.stored;
    problem.hidden = false;
    problem.focus();
  }

  function faultLine(fault) {
    const line = element("li", fault.number ? "" : fault.message);
    if (fault.number) {
      const link = element("a", fault.message);
      link.href = `#text-${fault.number}`;
      link.id = `fault-${fault.number}`;
      line.append(link);
    }
    return line;
  }

  function mark(form, faults) {
    for (const field of form.querySelectorAll("textarea")) {
      const number = field.id.replace("text-", "");
      const faulty = faults.some((fault) => String(fault.number) === number);
      field.toggleAttribute("aria-invalid", faulty);
      if (faulty) field.setAttribute("aria-invalid", "true");
      field.setAttribute("aria-describedby", `${faulty ? `fault-${number} ` : ""}count-${number}`);
    }
  }

  function element(name, text) {
    const made = document.createElement(name);
    made.textContent = text;
    if (name === "li") made.dir = "auto";
    return made;
  }
})();
