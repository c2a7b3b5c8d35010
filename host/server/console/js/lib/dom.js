// Makes elements. The trap it avoids: text that becomes markup. Whatever comes from outside is set as text or as an attribute,
// scripts cannot be attributes, and a link leads only where links may lead.

const SVG = "http://www.w3.org/2000/svg";

/** h("a.button", {href: "/x"}, "text", node, [more]) ; false and null children are left out. */
export function h(tag, attributes, ...children) {
  return build(document.createElement(tag.split(/[.#]/)[0]), tag, attributes, children);
}

/** The same for SVG. */
export function s(tag, attributes, ...children) {
  return build(document.createElementNS(SVG, tag.split(/[.#]/)[0]), tag, attributes, children);
}

function build(element, tag, attributes, children) {
  for (const [, mark, name] of tag.matchAll(/([.#])([^.#]+)/g)) {
    if (mark === "#") element.id = name;
    else element.classList.add(name);
  }
  const plain = attributes === null || attributes === undefined || typeof attributes !== "object"
    || attributes instanceof Node || Array.isArray(attributes);
  if (plain) children.unshift(attributes);
  else for (const [name, value] of Object.entries(attributes)) set(element, name, value);
  append(element, children);
  return element;
}

function set(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) {
    if (typeof value !== "function") throw new TypeError(`${name} must be a function`);
    element.addEventListener(name.slice(2), value);
  } else if (name === "class") {
    for (const one of String(value).split(" ").filter(Boolean)) element.classList.add(one);
  } else if (name === "value" && "value" in element) {
    element.value = value;
  } else if (name === "checked" || name === "selected" || name === "indeterminate" || name === "open") {
    element[name] = Boolean(value);
  } else if (name === "style") {
    throw new TypeError("styles belong into style sheets");
  } else if ((name === "href" || name === "src" || name === "action") && !safe(String(value))) {
    element.setAttribute("data-refused", "");
  } else {
    element.setAttribute(name, value === true ? "" : String(value));
  }
}

/** Whether a link may lead there: this server, or an ordinary web page. */
export function safe(url) {
  if (url.startsWith("#") || (url.startsWith("/") && !url.startsWith("//"))) return true;
  try {
    return ["http:", "https:", "blob:"].includes(new URL(url, location.href).protocol);
  } catch {
    return false;
  }
}

function append(element, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false || child === "") continue;
    if (Array.isArray(child)) append(element, child);
    else element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** Puts other children into an element. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

let last = 0;
/** An id that no other element has. */
export function fresh(prefix = "x") {
  last += 1;
  return `${prefix}-${last}`;
}

/** Calls when the typing pauses. */
export function later(milliseconds, call) {
  let timer = 0;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...args), milliseconds);
  };
}
