// Building parts of the page. Text from outside only ever becomes a text node.

const SVG = "http://www.w3.org/2000/svg";

export const find = (id) => document.getElementById(id);

/**
 * Return a new element.
 *
 * `properties` are set as properties; `on` maps events to listeners, and `attributes` names to
 * values. `children` are nodes or text; null ones are left out.
 */
export function make(tag, { on = {}, attributes = {}, ...properties } = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  for (const [event, listener] of Object.entries(on)) element.addEventListener(event, listener);
  element.append(...children.filter((child) => child != null));
  return element;
}

/** Return an icon of index.html; it is decoration, so a word must stand beside it. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/**
 * Replace the children of `place`. The keyboard focus stays on the element with the same id; if
 * that is gone, it moves to `place` or the section around it, not to the top of the page.
 */
export function fill(place, ...children) {
  const focused = place.contains(document.activeElement) ? document.activeElement : null;
  place.replaceChildren(...children.filter((child) => child != null));
  if (!focused) return;
  const same = focused.id && find(focused.id);
  (same || place.closest("[tabindex]"))?.focus({ preventScroll: true });
}
