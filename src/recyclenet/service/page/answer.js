// The answer as the page shows it. The server decides; this only displays.

import { icon, make } from "./dom.js";
import { currentLanguage, named, percent, problemSentence, text } from "./words.js";

const NUM_BARS = 6;
const UNSURE = "not sure: ask a person"; // the server's words in place of a bin
const STREAMS = ["recyclable", "kitchen", "hazardous", "other"];
const COLOURS = ["blue", "yellow", "green", "brown", "red", "black", "grey", "white", "orange"];

/** Whether the server says to ask a person. */
export const isUnsure = (answer) => answer.bin === UNSURE;

/** Return one sentence for a screen reader. */
export function sentence(answer) {
  const values = {
    label: named(answer.label),
    confidence: percent(answer.confidence),
    bin: named(answer.bin),
  };
  return text(isUnsure(answer) ? "answeredUnsure" : "answered", values);
}

/** Return the nodes that show `answer`; `labels` are the entries of `/v1/labels`. */
export function answerNodes(answer, labels) {
  const values = { label: named(answer.label), confidence: percent(answer.confidence) };
  const unsure = isUnsure(answer);
  const title = unsure
    ? make("h3", { className: "verdict" }, text("unsure"))
    : make("h3", { className: "verdict" }, make("bdi", {}, values.label), " ",
        make("small", {}, values.confidence));
  return [title, unsure ? askCard(values) : binCard(answer, labels), bars(answer)];
}

/** Return how many objects were found, in words. */
function countWords({ objects }) {
  const words = ["objectsNone", "objectsOne"][objects.length] ?? "objectsMany";
  return text(words, { count: objects.length });
}

/** Return the objects in one text for a screen reader. */
export const objectsSentence = (found) =>
  [countWords(found), ...found.objects.map((one, index) => `${index + 1}: ${sentence(one)}`)]
    .join("; ");

/** Return the nodes that list the objects of a photo, numbered like their boxes. */
export function objectsNodes(found) {
  const items = found.objects.map((one) => make("li", { className: isUnsure(one) ? "unsure" : "" },
    make("p", {}, make("bdi", { className: "place" }, named(one.label)), " ",
      make("small", { className: "soft" }, percent(one.confidence))),
    make("p", {}, make("bdi", {}, isUnsure(one) ? text("askPerson") : named(one.bin)))));
  return [
    make("h3", { className: "verdict" }, countWords(found)),
    items.length ? make("ol", { className: "objects" }, ...items)
      : make("p", { className: "soft" }, text("objectsHint")),
  ];
}

function askCard(values) {
  return make("div", { className: "bin unsure" },
    make("span", { className: "tile" }, icon("person")),
    make("div", {},
      make("p", { className: "place" }, text("askPerson")),
      make("p", {}, text("bestGuess", values)),
      make("p", { className: "soft" }, text("unsureAdvice"))));
}

function binCard(answer, labels) {
  // Under rules with costs, the bin need not be that of the most probable class.
  const entries = labels.filter((entry) => entry.bin === answer.bin);
  const entry = entries.find(({ label }) => label === answer.label) ?? entries[0];
  const given = entry?.stream ?? answer.stream;
  const stream = STREAMS.includes(given) ? given : "other";
  const advice = entry?.advice || text(`advice.${stream}`);
  const tile = make("span", { className: `tile ${stream}` }, icon(stream));
  const colour = entry?.colour?.toLowerCase() ?? colourIn(answer.bin);
  if (COLOURS.includes(colour)) tile.classList.add("coloured", colour);
  return make("div", { className: "bin" }, tile,
    make("div", {},
      make("p", { className: "place" }, make("bdi", {}, named(answer.bin))),
      make("p", {}, text(`stream.${stream}`)),
      make("p", { className: "soft" }, advice),
      answer.known ? null : make("p", { className: "soft" }, text("uncertain"))));
}

/** Return the colour that the name of a bin says, such as "blue bin (paper)"; else undefined. */
const colourIn = (bin) => COLOURS.find((colour) => new RegExp(`\\b${colour}\\b`, "i").test(bin));

function bars(answer) {
  const all = Object.entries(answer.probabilities);
  const shown = all.slice(0, all.length <= NUM_BARS + 1 ? all.length : NUM_BARS);
  const rest = all.slice(shown.length);
  const rows = shown.map(([name, share]) => bar(named(name), share));
  if (rest.length) {
    const sum = rest.reduce((total, [, share]) => total + share, 0);
    rows.push(bar(text("otherClasses", { count: rest.length }), sum, "rest"));
  }
  if (answer.unknown != null) rows.push(bar(text("unknownScore"), answer.unknown, "unknown"));
  return make("div", {},
    make("h4", { id: "bars-title" }, text("probabilities")),
    make("ul", { className: "bars", attributes: { "aria-labelledby": "bars-title" } }, ...rows));
}

function bar(name, share, className = "") {
  const fill = make("span", { className: "fill" });
  fill.style.width = `${share < 0.005 ? 0 : Math.min(100, 100 * share)}%`; // 0% shows no bar
  return make("li", { className },
    make("bdi", { className: "name", title: name }, name),
    make("span", { className: "track", attributes: { "aria-hidden": "true" } }, fill),
    make("span", { className: "share" }, percent(share)));
}

/** Return the nodes that say what went wrong and what to do; `retry` is null if nothing can help. */
export function problemNodes(problem, retry) {
  const [title, advice] = text(`problem.${problem.kind}`);
  const detail = problem.detail && make("p", { className: "detail", lang: "en" }, problem.detail);
  return [
    make("div", { className: "bin problem" },
      make("span", { className: "tile" }, icon("problem")),
      make("div", {},
        make("h3", { className: "place" }, title),
        make("p", {}, advice),
        detail || null)),
    retry && make("div", { className: "actions" },
      make("button", { id: "retry", type: "button", on: { click: retry } }, text("retry"))),
  ];
}

/** Return the form that says what a photo really shows; it keeps its state in `draft`. */
export function feedbackForm(answer, labels, draft, send) {
  if (draft.state === "sent") {
    return make("p", { className: "thanks" }, text(draft.consent ? "thanksPhoto" : "thanks"));
  }
  const known = labels.length ? labels.map(({ label }) => label) : Object.keys(answer.probabilities);
  const others = known.filter((label) => label !== answer.label);
  others.sort((one, other) => named(one).localeCompare(named(other), currentLanguage()));
  const select = make("select", { id: "truth", required: true,
    on: { change: () => { draft.label = select.value; } } },
    make("option", { value: "" }, text("choose")),
    ...others.map((label) => make("option", { value: label }, named(label))));
  select.value = draft.label ?? "";
  const tick = draft.canSendPhoto && make("input", { type: "checkbox", id: "consent",
    checked: Boolean(draft.consent), on: { change: () => { draft.consent = tick.checked; } },
    attributes: { "aria-describedby": "consent-note" } });
  const submit = (event) => {
    event.preventDefault();
    send();
  };
  const form = make("form", { id: "feedback", on: { submit } },
    make("p", {}, make("label", { htmlFor: "truth" }, text("itIs")), " ", select),
    tick && make("p", { className: "tick" }, tick,
      make("label", { htmlFor: "consent" }, text("consent"))),
    make("p", { id: "consent-note", className: "soft" }, text("consentNote")),
    draft.problem && make("p", { className: "notice", attributes: { role: "alert" } },
      problemSentence(draft.problem)),
    make("button", { id: "send", type: "submit", className: "main",
      attributes: { "aria-disabled": String(draft.state === "sending") } },
      text(draft.state === "sending" ? "sending" : "send")));
  const details = make("details", { open: Boolean(draft.open),
    on: { toggle: () => { draft.open = details.open; } } },
    make("summary", { id: "wrong" }, text("wrong")), form);
  return details;
}
