// The page: photos in, answers out. Each photo carries its own answer, so none can be mixed up.

import {
  answerNodes, feedbackForm, isUnsure, objectsNodes, objectsSentence, problemNodes, sentence,
} from "./answer.js";
import { classify, detect, explain, fetchLabels, Problem, sendFeedback, useToken } from "./api.js";
import { fill, find, icon, make } from "./dom.js";
import { Live } from "./live.js";
import { drawBoxes, fromDataAddress, picturesIn, prepare, show, thumbnail, toJpeg } from "./photo.js";
import {
  chooseLanguage, currentLanguage, named, otherLanguage, percent, problemSentence, text,
} from "./words.js";

const MAX_PHOTOS = 20;

let photos = []; // newest first
let shown = null; // the photo on the stage
let service = { model: "", labels: [] };
let liveAnswer = null;
let liveState = "liveStarting"; // shown while there is no answer
let spoken = null; // the verdict that a screen reader last got from the camera
let isAsking = false;

const live = new Live(find("video"), {
  changed: (answer, state) => {
    if (state === liveState && JSON.stringify(answer) === JSON.stringify(liveAnswer)) return;
    liveAnswer = answer;
    liveState = state;
    sayLive(answer);
    renderPanel();
  },
  stopped: (reason) => {
    notify(reason instanceof Problem ? problemSentence(reason) : text(reason));
    if (reason.kind === "token") find("access").hidden = false;
    renderAll();
  },
});

// Photos -----------------------------------------------------------------------------------------

function addFiles(files) {
  if (!files.length) return;
  stopLive();
  notify(files.length > MAX_PHOTOS ? text("tooMany", { count: MAX_PHOTOS }) : "");
  const added = files.slice(0, MAX_PHOTOS).map((file) => ({ file, state: "waiting", draft: {} }));
  for (const photo of photos.slice(MAX_PHOTOS - added.length)) photo.controller?.abort();
  photos = [...added.toReversed(), ...photos].slice(0, MAX_PHOTOS);
  select(added[0]);
  askNext();
}

// One photo at a time, the first come first.
async function askNext() {
  const photo = photos.findLast(({ state }) => state === "waiting");
  if (isAsking || !photo) return;
  isAsking = true;
  photo.controller = new AbortController();
  photo.state = "asking";
  renderAll();
  try {
    if (!photo.upload) {
      Object.assign(photo, await prepare(photo.file));
      photo.thumbnail = photo.picture && thumbnail(photo.picture);
      if (photo === shown) renderStage();
    }
    photo.answer = await classify(photo.upload, photo.controller.signal);
    photo.state = "answered";
  } catch (error) {
    photo.problem = error instanceof Problem ? error : new Problem("unreadable");
    photo.state = "failed";
    if (photo.problem.kind === "token") find("access").hidden = false;
  }
  isAsking = false;
  if (photos.includes(photo)) {
    if (photo === shown) announce(photo);
    renderAll();
  }
  askNext();
}

function retry(photo) {
  photo.state = "waiting";
  renderPanel();
  askNext();
}

function cancel(photo) {
  if (photo.state === "waiting") {
    photo.state = "failed";
    photo.problem = new Problem("cancelled");
    renderAll();
  }
  photo.controller?.abort();
}

function select(photo) {
  stopLive();
  shown = photo;
  renderAll();
  announce(photo);
}

function clear() {
  for (const photo of photos) photo.controller?.abort();
  photos = [];
  shown = null;
  say("");
  renderAll();
  find("pick").focus();
}

// What else the page can show of a photo, on demand: how to get it, and its texts.
const VIEWS = {
  heatmap: { fetch: fetchHeatmap, show: "explain", hide: "hideHeatmap", busy: "explaining" },
  objects: { fetch: detect, show: "several", hide: "hideObjects", busy: "detecting" },
};

async function fetchHeatmap(upload, signal) {
  const { overlay, label } = await explain(upload, signal);
  return { picture: await fromDataAddress(overlay), label };
}

async function toggleView(photo, kind) {
  const { fetching } = photo;
  fetching?.controller.abort();
  if (fetching?.kind === kind) return;
  photo.fetching = null;
  photo.view = photo.view === kind ? null : kind;
  if (photo.view && !photo[kind]) await fetchView(photo, kind);
  if (photo !== shown) return;
  renderAll();
  if (photo.view === kind && photo[kind]) {
    say(kind === "objects" ? objectsSentence(photo.objects) : find("caption").textContent);
  }
}

async function fetchView(photo, kind) {
  const fetching = { kind, controller: new AbortController() };
  Object.assign(photo, { fetching, viewProblem: null });
  renderAll();
  say(text(VIEWS[kind].busy));
  try {
    photo[kind] = await VIEWS[kind].fetch(photo.upload, fetching.controller.signal);
  } catch (error) {
    if (photo.fetching !== fetching) return; // another view is asked for
    photo.view = null;
    const problem = error instanceof Problem ? error : new Problem("odd");
    photo.viewProblem = problem.kind === "cancelled" ? null : problem;
  }
  if (photo.fetching === fetching) photo.fetching = null;
}

async function send(photo) {
  const { draft } = photo;
  if (draft.state === "sending") return;
  draft.state = "sending";
  draft.problem = null;
  renderPanel();
  try {
    const consented = draft.consent && photo.picture;
    const picture = consented ? await toJpeg(photo.picture) : null;
    await sendFeedback({ label: draft.label, answer: photo.answer, photo: picture });
    draft.state = "sent";
    if (photo === shown) say(text(picture ? "thanksPhoto" : "thanks"));
  } catch (error) {
    draft.state = "failed";
    draft.problem = error instanceof Problem ? error : new Problem("odd");
  }
  renderPanel();
}

// Camera -----------------------------------------------------------------------------------------

function startLive() {
  notify("");
  say("");
  liveAnswer = spoken = null;
  liveState = "liveStarting";
  live.start();
  renderAll();
}

function stopLive() {
  if (!live.isOn) return;
  live.stop();
  liveAnswer = null;
  renderAll();
}

// Speaks only when the verdict changes, not with each frame.
function sayLive(answer) {
  const verdict = answer && JSON.stringify([answer.label, answer.bin]);
  if (!verdict || verdict === spoken) return;
  spoken = verdict;
  say(sentence(answer));
}

async function keepFrame() {
  const picture = live.picture();
  if (picture) addFiles([await toJpeg(picture)]);
}

// Showing ----------------------------------------------------------------------------------------

const say = (words) => {
  if (find("said").textContent !== words) find("said").textContent = words;
};

function notify(words) {
  find("notice").textContent = words;
  find("notice").hidden = !words;
}

function announce(photo) {
  if (photo.state === "answered") say(sentence(photo.answer));
  else if (photo.state === "failed") say(problemSentence(photo.problem));
  else say(text("asking"));
}

function renderAll() {
  renderWords();
  renderStage();
  renderPanel();
  renderHistory();
}

function renderWords() {
  document.documentElement.lang = currentLanguage() === "zh" ? "zh-Hans" : currentLanguage();
  for (const place of document.querySelectorAll("[data-text]")) {
    place.textContent = text(place.dataset.text);
  }
  const [code, name] = otherLanguage();
  Object.assign(find("language"), { textContent: name, lang: code });
  find("model").textContent = service.model ? text("model", { model: service.model }) : "";
  find("live").lastElementChild.textContent = text(live.isOn ? "stopLive" : "live");
}

function renderStage() {
  const heatmap = shown?.view === "heatmap" ? shown.heatmap : null;
  const objects = shown?.view === "objects" ? shown.objects : null;
  const picture = live.isOn ? null : (heatmap?.picture ?? shown?.picture ?? null);
  const cannotShow = !live.isOn && shown?.upload && !shown.picture;
  find("prompt").hidden = live.isOn || picture !== null || Boolean(cannotShow);
  find("video").hidden = !live.isOn;
  find("keep").hidden = !live.isOn;
  const canvas = find("photo");
  canvas.hidden = picture === null;
  let caption = heatmap ? text("shownHeatmap", { label: named(heatmap.label) }) : "";
  if (objects && picture) caption = text("shownObjects");
  canvas.setAttribute("aria-label", caption || text("shownPhoto"));
  if (picture) show(picture, canvas);
  if (picture && objects) drawBoxes(canvas, objects);
  find("caption").textContent = caption || (cannotShow ? text("noPreview") : "");
  find("caption").hidden = !find("caption").textContent;
}

function renderPanel() {
  fill(find("panel"), ...(live.isOn ? liveNodes() : shown ? photoNodes(shown) : startNodes()));
}

function startNodes() {
  return [make("div", { className: "empty" },
    make("p", { className: "big" }, text("noAnswerYet")),
    make("p", { className: "soft" }, text("hint")))];
}

function liveNodes() {
  const badge = make("p", { className: "badge" }, text("liveBadge"));
  if (!liveAnswer) return [badge, make("p", { className: "big soft" }, text(liveState))];
  return [badge, ...answerNodes(liveAnswer, service.labels)];
}

function photoNodes(photo) {
  if (photo.state === "failed") {
    return problemNodes(photo.problem, () => retry(photo));
  }
  if (photo.state !== "answered") {
    return [make("div", { className: "empty busy" },
      make("p", { className: "big soft" }, text(photo.state === "asking" ? "asking" : "waiting")),
      make("button", { id: "cancel", type: "button", on: { click: () => cancel(photo) } },
        text("cancel")))];
  }
  photo.draft.canSendPhoto = Boolean(photo.picture);
  const isList = photo.view === "objects" && photo.objects;
  return [
    ...(isList ? objectsNodes(photo.objects) : answerNodes(photo.answer, service.labels)),
    make("div", { className: "actions" },
      photo.fetching && make("p", { className: "soft" }, text(VIEWS[photo.fetching.kind].busy)),
      viewButton(photo, "heatmap"),
      service.detect === false ? null : viewButton(photo, "objects")),
    photo.viewProblem && make("p", { className: "notice", attributes: { role: "alert" } },
      problemSentence(photo.viewProblem)),
    isList || service.feedback === false
      ? null
      : feedbackForm(photo.answer, service.labels, photo.draft, () => send(photo)),
  ];
}

function viewButton(photo, kind) {
  const { show: ask, hide } = VIEWS[kind];
  const isBusy = photo.fetching?.kind === kind;
  return make("button", { id: kind, type: "button", on: { click: () => toggleView(photo, kind) } },
    text(isBusy ? "cancel" : photo.view === kind ? hide : ask));
}

function renderHistory() {
  find("history").hidden = photos.length === 0;
  fill(find("thumbnails"), ...photos.map(historyItem));
}

function historyItem(photo, index) {
  const unsure = photo.state === "answered" && isUnsure(photo.answer);
  const words = {
    answered: () => unsure ? text("historyUnsure") : text("historyItem", {
      label: named(photo.answer.label), confidence: percent(photo.answer.confidence) }),
    failed: () => text("historyFailed"),
  }[photo.state] ?? (() => text("historyWaiting"));
  const button = make("button", { type: "button", id: `photo-${photos.length - index}`,
    attributes: photo === shown && !live.isOn ? { "aria-current": "true" } : {},
    on: { click: () => select(photo) } },
    photo.thumbnail ?? icon(photo.state === "failed" ? "problem" : "photo"),
    make("bdi", {}, words()));
  return make("li", {}, button);
}

// Wiring -----------------------------------------------------------------------------------------

async function loadLabels() {
  try {
    service = await fetchLabels();
    find("access").hidden = true;
  } catch (error) {
    if (error.kind !== "token") return; // answers come without it, too
    find("access").hidden = false;
    useToken(null);
  }
  renderAll();
}

for (const id of ["pick", "take"]) {
  find(id).addEventListener("change", ({ target }) => {
    addFiles([...target.files]);
    target.value = ""; // so that the same photo can be chosen again
  });
}
find("live").addEventListener("click", () => (live.isOn ? stopLive() : startLive()));
find("keep").addEventListener("click", keepFrame);
find("clear").addEventListener("click", clear);
find("language").addEventListener("click", () => {
  chooseLanguage(otherLanguage()[0]);
  notify("");
  renderAll();
});
find("access").addEventListener("submit", async (event) => {
  event.preventDefault();
  useToken(find("token").value.trim());
  find("token").value = "";
  await loadLabels();
  for (const photo of photos) if (photo.problem?.kind === "token") photo.state = "waiting";
  askNext();
});
document.addEventListener("paste", (event) => {
  const files = picturesIn(event.clipboardData);
  if (files.length) event.preventDefault();
  addFiles(files);
});
for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    const isLeaving = name === "drop" || (name === "dragleave" && !event.relatedTarget);
    document.body.classList.toggle("dragging", !isLeaving);
    if (name === "drop") addFiles(picturesIn(event.dataTransfer));
  });
}

renderAll();
loadLabels();
