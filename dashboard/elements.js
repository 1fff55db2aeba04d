// Elements of the page: found, made, and kept while what they show changes.

export const byId = (id) => document.getElementById(id);

// Sets an element's text only if it differs, so that screen readers do not repeat it.
export function show(target, text) {
  const element = typeof target === "string" ? byId(target) : target;
  const shown = String(text);
  if (element.textContent !== shown) element.textContent = shown;
}

// make("td", { class: "number", text: 5 }, child, …); null attributes are left out.
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") element.textContent = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

// Brings the children of `parent` in line with `items`: one each, in their order. Children stay the
// same elements for the same key, so that focus, selection and hovering survive a new second.
export function keep(parent, items, { key, create, update, leave }) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let before = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    let child = known.get(name);
    known.delete(name);
    if (!child) {
      child = create(item);
      child.dataset.key = name;
    }
    update(child, item);
    if (child === before) before = before.nextElementSibling;
    else parent.insertBefore(child, before);
  }
  for (const child of known.values()) {
    if (leave) leave(child);
    child.remove();
  }
}
