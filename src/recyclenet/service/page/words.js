// The chosen language: texts, names and numbers in it.

import { nameIn } from "./names.js";
import { LANGUAGES, preferredLanguage, STRINGS } from "./strings.js";

let language = preferredLanguage();

export const currentLanguage = () => language;

/** Return the code and the own name of the language to switch to. */
export function otherLanguage() {
  return Object.entries(LANGUAGES).find(([code]) => code !== language);
}

/** Choose a language; the address keeps it, so that a reload does, too. */
export function chooseLanguage(code) {
  language = code;
  const address = new URL(location.href);
  address.searchParams.set("lang", code);
  history.replaceState(null, "", address);
}

/** Return the text of that name, such as "pick" or "stream.kitchen", with its {values}. */
export function text(name, values = {}) {
  const found = name.split(".").reduce((table, key) => table?.[key], STRINGS[language]);
  if (typeof found !== "string") return found;
  return found.replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

/** Return what went wrong and what to do, on one line. */
export const problemSentence = (problem) =>
  text(`problem.${problem.kind}`).join(language === "zh" ? "。" : ". ");

/** Return the name of a class or bin. */
export const named = (name) => nameIn(language, name);

/** Return a share as a percentage. */
export const percent = (share) =>
  new Intl.NumberFormat(language, { style: "percent" }).format(share);
