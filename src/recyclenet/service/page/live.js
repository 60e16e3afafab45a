// Live answers from the camera, about two a second.

import { classify, Problem } from "./api.js";
import { draw, toJpeg } from "./photo.js";

const PERIOD = 500; // milliseconds between frames
const FRESH = 2500; // milliseconds after which an answer no longer shows what the camera sees
const SLOW = 1500; // milliseconds for one answer, from which live answers are no use
const FRAMES = 3; // the last answers, of which
const AGREEING = 2; // so many must agree
const FRAME_SIDE = 640;
const MAX_FAILURES = 3;

/** Why the camera cannot be used: a name in strings.js. */
export function cameraProblem(error) {
  if (!window.isSecureContext || !navigator.mediaDevices?.getUserMedia) return "cameraInsecure";
  if (["NotAllowedError", "SecurityError"].includes(error.name)) return "cameraDenied";
  return ["NotFoundError", "OverconstrainedError"].includes(error.name)
    ? "cameraMissing"
    : "cameraBusy";
}

/**
 * Return the newest answer that at least two of the last three frames agree on, with the mean of
 * their probabilities; null if they disagree, or if none of them is fresh.
 *
 * `seen` are `{time, answer}`, oldest first; `time` is when the frame was taken, and `now` is the
 * current time, in milliseconds.
 */
export function smoothed(seen, now) {
  if (!seen.length || now - seen.at(-1).time > FRESH) return null;
  const last = seen.slice(-FRAMES).filter(({ time }) => now - time <= 2 * FRESH);
  const verdict = ({ answer }) => JSON.stringify([answer.label, answer.bin]);
  for (const newest of last.toReversed()) {
    const agreeing = last.filter((one) => verdict(one) === verdict(newest));
    if (agreeing.length < AGREEING) continue;
    const mean = (value) =>
      agreeing.reduce((sum, { answer }) => sum + (value(answer) ?? 0), 0) / agreeing.length;
    const means = Object.keys(newest.answer.probabilities)
      .map((name) => [name, mean((answer) => answer.probabilities[name])])
      .sort((one, other) => other[1] - one[1]);
    return {
      ...newest.answer,
      confidence: mean((answer) => answer.confidence),
      unknown: newest.answer.unknown == null ? null : mean((answer) => answer.unknown),
      probabilities: Object.fromEntries(means),
    };
  }
  return null;
}

export class Live {
  #video;
  #changed;
  #stopped;
  #seen = [];
  #took = 0; // milliseconds for the last answer
  #run = null; // aborted when the camera stops; each start has its own

  /**
   * `changed(answer, state)` is called with what to show: a smoothed answer, or null and a name in
   * strings.js. `stopped(reason)` is called when the camera stops by itself, with such a name or a
   * Problem.
   */
  constructor(video, { changed, stopped }) {
    this.#video = video;
    this.#changed = changed;
    this.#stopped = stopped;
    document.addEventListener("visibilitychange", () => document.hidden && this.#fail("liveHidden"));
    window.addEventListener("pagehide", () => this.stop());
  }

  get isOn() {
    return this.#run !== null;
  }

  async start() {
    this.stop();
    const run = new AbortController();
    this.#run = run;
    let stream;
    try {
      const wanted = { video: { facingMode: "environment", width: { ideal: 1280 } }, audio: false };
      stream = await navigator.mediaDevices.getUserMedia(wanted);
    } catch (error) {
      if (this.#run === run) this.#fail(cameraProblem(error));
      return;
    }
    run.signal.addEventListener("abort", () => stream.getTracks().forEach((track) => track.stop()));
    if (run.signal.aborted) {
      stream.getTracks().forEach((track) => track.stop());
      return;
    }
    stream.getVideoTracks()[0].addEventListener("ended", () => {
      if (this.#run === run) this.#fail("liveEnded");
    });
    this.#video.srcObject = stream;
    await this.#video.play().catch(() => {});
    this.#watch(run.signal);
    this.#ask(run.signal);
  }

  stop() {
    this.#run?.abort();
    this.#run = null;
    this.#seen = [];
    this.#video.srcObject = null;
  }

  /** Return the current picture, or null before the first. */
  picture(maxSide = Infinity) {
    return this.#video.videoWidth ? draw(this.#video, maxSide) : null;
  }

  #fail(reason) {
    if (!this.isOn) return;
    this.stop();
    this.#stopped(reason);
  }

  // Answers also go stale while no new one arrives.
  #watch(signal) {
    const update = () => {
      const answer = smoothed(this.#seen, performance.now());
      const unanswered = this.#took > SLOW ? "liveSlow" : "liveStale";
      this.#changed(answer, answer || !this.#seen.length ? "liveWaiting" : unanswered);
    };
    const timer = setInterval(update, 250);
    signal.addEventListener("abort", () => clearInterval(timer));
    update();
  }

  // One request at a time, so that answers arrive in order and a slow server is not flooded.
  async #ask(signal) {
    let failures = 0;
    while (!signal.aborted) {
      const time = performance.now();
      const picture = this.picture(FRAME_SIDE);
      try {
        if (picture) {
          const answer = await classify(await toJpeg(picture), signal);
          if (signal.aborted) return;
          this.#took = performance.now() - time;
          this.#seen = [...this.#seen, { time, answer }].slice(-FRAMES);
          failures = 0;
        }
      } catch (error) {
        if (signal.aborted) return;
        failures += 1;
        if (failures >= MAX_FAILURES) {
          this.#fail(error instanceof Problem ? error : "cameraBusy");
          return;
        }
      }
      const pause = time + PERIOD * (1 + 3 * failures) - performance.now();
      await new Promise((done) => setTimeout(done, Math.max(50, pause)));
    }
  }
}
