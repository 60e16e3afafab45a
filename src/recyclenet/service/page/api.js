// The server's answers. Every failure becomes a Problem, whose kind names a text in strings.js.

// Milliseconds until a request counts as lost; the server's own limits are lower.
const PATIENCE = 90_000;

const KINDS = new Map([
  [400, "unreadable"],
  [401, "token"],
  [403, "refused"],
  [404, "missing"],
  [408, "slow"],
  [413, "tooLarge"],
  [415, "unreadable"],
  [421, "refused"],
  [429, "busy"],
  [501, "missing"],
  [503, "busy"],
  [504, "slow"],
  [507, "full"],
]);

let token = null; // in memory only

/** Send `value` with every request from now on. */
export function useToken(value) {
  token = value;
}

export class Problem extends Error {
  /** `kind` is a name in strings.js; `detail` is what the server says, in English. */
  constructor(kind, detail = "") {
    super(detail || kind);
    this.kind = kind;
    this.detail = detail;
  }
}

/** Classify a photo: the object of `recyclenet classify --json`, with an `id`. */
export async function classify(photo, signal) {
  const answer = await request("v1/classify", { method: "POST", body: photo, signal });
  return checked(answer);
}

/** Ask what the answer for a photo rests on: `{prediction, label, overlay}`. */
export async function explain(photo, signal) {
  const answer = await request("v1/explain", { method: "POST", body: photo, signal });
  if (typeof answer?.overlay !== "string") throw new Problem("odd");
  return answer;
}

/** Find several objects: `{width, height, objects}`, each object with a `box` and an answer. */
export async function detect(photo, signal) {
  const found = await request("v1/detect", { method: "POST", body: photo, signal });
  const isSize = (value) => Number.isFinite(value) && value > 0;
  if (!isSize(found?.width) || !isSize(found.height) || !Array.isArray(found.objects)) {
    throw new Problem("odd");
  }
  for (const object of found.objects) {
    checked(object);
    const { box } = object;
    if (!Array.isArray(box) || box.length !== 4 || !box.every(Number.isFinite)) {
      throw new Problem("odd");
    }
  }
  return found;
}

/** Send feedback; `photo` is null without the user's consent. */
export function sendFeedback({ label, answer, photo }) {
  const body = new FormData();
  body.append("label", label);
  body.append("predicted", answer.label);
  body.append("id", answer.id ?? "");
  body.append("consent", photo ? "true" : "false");
  if (photo) body.append("file", photo, "photo.jpg");
  return request("v1/feedback", { method: "POST", body });
}

/** Return the model's name and what the rules know about each of its classes. */
export async function fetchLabels() {
  const found = await request("v1/labels", {});
  return { ...found, labels: Array.isArray(found?.labels) ? found.labels : [] };
}

async function request(path, { signal, ...options }) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const patience = AbortSignal.timeout(PATIENCE);
  const either = signal ? AbortSignal.any([signal, patience]) : patience;
  try {
    const response = await fetch(path, { ...options, headers, signal: either, cache: "no-store" });
    if (!response.ok) throw await problemOf(response);
    return await response.json();
  } catch (error) {
    if (error instanceof Problem) throw error;
    if (signal?.aborted) throw new Problem("cancelled");
    if (patience.aborted) throw new Problem("slow");
    throw new Problem(error instanceof SyntaxError ? "odd" : "unreachable");
  }
}

async function problemOf(response) {
  const told = await response.json().catch(() => ({}));
  const isBroken = told?.reason === "broken_image";
  const kind = isBroken ? "unreadable" : (KINDS.get(response.status) ?? "broken");
  return new Problem(kind, String(told?.detail || told?.title || `HTTP ${response.status}`));
}

function checked(answer) {
  if (answer?.error) throw new Problem("unreadable", String(answer.error));
  const shares = Object.values(answer?.probabilities ?? {});
  const isSound =
    typeof answer?.label === "string" &&
    typeof answer.bin === "string" &&
    shares.length > 0 &&
    [answer.confidence, answer.unknown ?? 0, ...shares].every(Number.isFinite);
  if (!isSound) throw new Problem("odd");
  return answer;
}
