// What a quiz and a prediction share: choices to pick from, the reply below them, and a memory that survives a reload.
import { button, element } from "./common.js";

const LETTERS = "ABCDEF";

/** A text as nodes, what stands between backticks as code. */
export function withCode(text) {
  return text.split(/`([^`]+)`/).map((part, n) => (n % 2 ? element("code", {}, part) : part));
}

/** What the browser keeps under a key. In a frame or from the file system it may refuse; then the page forgets. */
export function memory(key) {
  const attempt = (act) => {
    try {
      return act(localStorage);
    } catch {
      return null;
    }
  };
  return {
    read: () => attempt((store) => JSON.parse(store.getItem(key))),
    write: (value) => attempt((store) => store.setItem(key, JSON.stringify(value))),
    forget: () => attempt((store) => store.removeItem(key)),
  };
}

/** Which of the choices is the right one. */
export function rightPlace(choices) {
  return choices.findIndex((one) => one.right);
}

/** "B", for the second choice. */
export function letter(place) {
  return LETTERS[place];
}

/**
 * The choices of a question, each a button with all of its text.
 *
 * @returns root, and mark(tried, chosen): which of them have been tried, and which is in force.
 */
export function choiceButtons({ choices, pick }) {
  const marks = choices.map(() => element("span", { class: "mark" }));
  const buttons = choices.map((one, place) =>
    element(
      "button",
      { type: "button", class: "answer", "aria-pressed": false, onclick: () => pick(place) },
      element("span", { class: "letter" }, letter(place)),
      element("span", {}, ...withCode(one.text)),
      marks[place],
    ),
  );
  const mark = (tried, chosen) =>
    choices.forEach(({ right = false }, place) => {
      const known = tried.includes(place);
      buttons[place].classList.toggle("right", known && right);
      buttons[place].classList.toggle("wrong", known && !right);
      buttons[place].setAttribute("aria-pressed", place === chosen);
      marks[place].textContent = !known ? "" : right ? "✓ right" : "✗ not this one";
    });
  return { root: element("div", { class: "answers" }, ...buttons), buttons, mark };
}

/** The place below a question where the verdict and the reasons appear; screen readers speak them. */
export function reply() {
  const root = element("div", { role: "status", class: "reply", tabindex: -1 });
  /** Right is true, false, or null where there is no verdict. */
  const say = (right, verdict, ...reasons) => {
    const kind = right === null ? "none" : right ? "right" : "wrong";
    const sign = right === null ? "" : right ? "✓ " : "✗ ";
    const paragraphs = reasons.map((one) => element("p", {}, ...withCode(one)));
    root.replaceChildren(element("p", { class: `verdict ${kind}` }, sign, ...withCode(verdict)), ...paragraphs);
  };
  return { root, say };
}

/** Forgets the answers and begins anew, at the first place where one can answer. */
export function startAgainButton(forget) {
  return button("Start again", (event) => {
    const live = event.target.closest(".course-explorer");
    forget();
    live.dispatchEvent(new Event("reset"));
    live.querySelector("button, input").focus();
  });
}
