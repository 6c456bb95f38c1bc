// Saves a weekly goal as soon as it is chosen. Without this script the card is a form with a button.
"use strict";

(() => {
  const card = document.getElementById("weekly-goal");
  if (!card) return;
  const { texts, ...page } = JSON.parse(document.getElementById("goal-card").textContent);
  const [form, box, again, undo, clear] = ["form", "reminders", "again", "undo", "clear"].map(part);
  const radios = [...form.querySelectorAll("[name=days_per_week]")];
  const token = form.elements.csrfmiddlewaretoken.value;
  const TIMEOUT = 10_000;
  const A_DAY = 24 * 60 * 60 * 1000;
  const PIECES = 28;
  // What the server has, as far as we know, and what the learner wants; the card always shows the latter.
  let stored = { days: page.days, subscribed: page.subscribed };
  let wanted = stored;
  let refused = stored;
  let before = stored;
  let sent = stored;
  let preface = "";
  let sure = true;
  let busy = false;

  // A page that is rendered ahead has not been opened yet.
  if (document.prerendering) document.addEventListener("prerenderingchange", start, { once: true });
  else start();

  function start() {
    part("save").hidden = true;
    form.addEventListener("change", (event) => {
      if (event.target === box) want({ ...wanted, subscribed: box.checked });
      else choose(Number(event.target.value));
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (event.submitter === clear) want({ days: 0, subscribed: false });
    });
    again.addEventListener("click", () => want(refused));
    undo.addEventListener("click", () => want(before, texts.undone));
    // Who leaves while an earlier choice is on its way still gets the last one.
    addEventListener("pagehide", () => busy && sent !== wanted && request(wanted).catch(() => {}));
    // Who comes back to a page from another week finds the new one.
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && !busy && Date.now() >= page.until) location.reload();
    });
    show();
    followLink();
    celebrate();
    tellZone();
  }

  // The first goal brings its reminders along.
  function choose(days, said) {
    want({ days, subscribed: wanted.days ? wanted.subscribed : true }, said);
  }

  function want(wish, said = "") {
    wanted = wish;
    preface = said;
    card.querySelectorAll("[data-said]").forEach((note) => note.remove());
    show();
    if (page.preview) {
      stored = wanted;
      say(texts.preview);
    } else {
      settle();
    }
  }

  // One request at a time, until the server has what is wanted by then; choices in between are never sent.
  async function settle() {
    if (busy) return;
    busy = true;
    form.setAttribute("aria-busy", "true");
    let answer;
    while (!sure || !same(wanted, stored)) {
      const wish = (sent = wanted);
      say(texts.saving);
      try {
        answer = await request(wish);
        stored = wish;
        sure = true;
      } catch (error) {
        // Without an answer from the application it may have been saved all the same.
        sure = Boolean(error.code);
        if (wish !== wanted) continue;
        refused = wish;
        wanted = stored;
        answer = undefined;
        show(texts.problems[error.message] ?? texts.problems.server);
        break;
      }
    }
    busy = false;
    form.removeAttribute("aria-busy");
    say(answer ? [preface, `${answer.header}.`, answer.message].filter(Boolean).join(" ") : "");
    celebrate();
  }

  async function request(wish) {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), TIMEOUT);
    try {
      const response = await post(page.save, {
        course_id: page.course,
        days_per_week: wish.days,
        subscribed_to_reminders: wish.subscribed,
      }, abort.signal);
      const answer = await response.json();
      if (response.ok && "selected_goal" in answer) return answer;
      throw problem(answer.code ?? "server", answer.code);
    } catch (error) {
      if (error.code && typeof error.code === "string") throw error;
      if (abort.signal.aborted) throw problem("timeout");
      throw problem(error instanceof TypeError ? "offline" : "server");
    } finally {
      clearTimeout(timer);
    }
  }

  function post(address, body, signal) {
    return fetch(address, {
      method: "POST",
      headers: { Accept: "application/json", "Content-Type": "application/json", "X-CSRFToken": token },
      body: JSON.stringify(body),
      keepalive: true,
      redirect: "error",
      signal,
    });
  }

  function problem(name, code) {
    return Object.assign(new Error(name), { code });
  }

  function show(reason = "") {
    const { days, subscribed } = wanted;
    const focused = document.activeElement;
    for (const radio of radios) radio.checked = Number(radio.value) === days;
    box.disabled = !days;
    box.checked = subscribed;
    part("first").hidden = Boolean(days);
    part("note").hidden = !subscribed;
    describe(days ? subscribed && "goal-note" : "goal-first");
    clear.hidden = !days;
    undo.hidden = true;
    part("progress").textContent = texts.done[days];
    part("reached").hidden = !reached(wanted);
    part("reason").textContent = reason && `${texts.failed} ${reason}`;
    part("problem").hidden = again.hidden = !reason;
    // What had the focus may just have gone.
    if (card.contains(focused) && !card.contains(document.activeElement)) focusChoice();
  }

  function focusChoice() {
    (radios.find((radio) => radio.checked) ?? radios[0]).focus();
  }

  function describe(id) {
    if (id) box.setAttribute("aria-describedby", id);
    else box.removeAttribute("aria-describedby");
  }

  function say(text) {
    part("said").textContent = text;
  }

  // A link may ask for a goal: the same as choosing it, with a way back. The wish leaves the address in any case.
  function followLink() {
    const address = new URL(location.href);
    if (address.searchParams.has("weekly_goal")) {
      address.searchParams.delete("weekly_goal");
      history.replaceState(history.state, "", address);
    }
    if (!page.offered || page.offered === stored.days) return;
    before = stored;
    choose(page.offered, texts.offered);
    undo.hidden = false;
  }

  function reached(goal) {
    return goal.days > 0 && page.done >= goal.days;
  }

  // Once for a goal, a week and a browser; without a memory not at all.
  function celebrate() {
    if (page.preview || !reached(stored) || !reached(wanted)) return;
    const memory = `celebrated:${page.goal}`;
    if (recall(memory) === page.week || !remember(memory, page.week)) return;
    // A live region is heard when it changes, not as the page comes.
    setTimeout(() => (part("cheer").textContent = texts.reached), 500);
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const confetti = document.createElement("div");
    confetti.className = "confetti";
    confetti.setAttribute("aria-hidden", "true");
    for (let piece = 0; piece < PIECES; piece += 1) {
      const paper = document.createElement("i");
      paper.style.insetInlineStart = `${((piece + 0.5) * 100) / PIECES}%`;
      paper.style.animationDelay = `${Math.random()}s`;
      confetti.append(paper);
    }
    card.append(confetti);
    Promise.allSettled(confetti.getAnimations({ subtree: true }).map((fall) => fall.finished))
      .then(() => confetti.remove());
  }

  // At most once in 24 hours, whether or not it is heard.
  function tellZone() {
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const memory = `zone-told:${page.learner}`;
    if (page.preview || !zone || Math.abs(Date.now() - Number(recall(memory))) < A_DAY) return;
    if (remember(memory, Date.now())) post(page.zone, { time_zone: zone }).catch(() => {});
  }

  function recall(what) {
    try {
      return localStorage.getItem(`weekly-goal:${what}`);
    } catch {
      return null;
    }
  }

  function remember(what, value) {
    try {
      localStorage.setItem(`weekly-goal:${what}`, value);
      return true;
    } catch {
      return false;
    }
  }

  function same(one, other) {
    return one.days === other.days && one.subscribed === other.subscribed;
  }

  function part(name) {
    return document.getElementById(`goal-${name}`);
  }
})();
