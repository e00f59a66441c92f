// A prediction: the reader commits to a number, a word or a choice, and only then sees what happens and why.
import { button, element, mount } from "./common.js";
import { choiceButtons, letter, memory, reply, rightPlace, startAgainButton, withCode } from "./questions.js";

/** A number as people type it ("1,200", "−4", ".5", "35%"), or null. */
export function readNumber(text) {
  let plain = text.trim().replace(/[−–]/, "-");
  if (/^[-+]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?%?$/.test(plain)) plain = plain.replaceAll(",", "");
  if (!/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?%?$/i.test(plain)) return null;
  return plain.endsWith("%") ? Number(plain.slice(0, -1)) / 100 : Number(plain);
}

/** What the reader said, judged: whether it is right, and the slip that leads there, if one is known. */
export function judge({ answer, tolerance = 0, slip }, said) {
  const same = Array.isArray(answer)
    ? (spellings) => spellings.map(bare).includes(bare(said))
    : (value) => Math.abs(said - value) <= tolerance + 1e-9 * Math.abs(value);
  return { right: same(answer), slip: slip.find(({ value }) => same(value))?.why ?? null };
}

/** A word without what does not count: spaces, capitals, quotation marks. */
function bare(word) {
  return word.toLowerCase().replace(/[\s"'`]/g, "");
}

function shown(value) {
  if (Array.isArray(value)) return value[0];
  return typeof value === "number" ? value.toLocaleString("en-US", { maximumFractionDigits: 10 }) : value;
}

function render(asked) {
  const kept = memory(asked.key);
  const told = reply();
  const part = asked.choice ? choices(asked, commit) : entry(asked, commit, told);
  const unknown = button("I don't know", () => commit(null));
  const again = startAgainButton(kept.forget);
  again.hidden = true;

  /** `said` is a number, a word or a place among the choices, and null for "I don't know". */
  function commit(said) {
    kept.write({ said });
    show(said);
    told.root.focus({ preventScroll: true }); // what had it may be gone
  }
  function show(said) {
    told.say(...part.tell(said));
    unknown.hidden = true;
    again.hidden = false;
  }

  const before = kept.read();
  if (before && part.takes(before.said)) show(before.said);
  return [
    element("p", { class: "asked" }, ...withCode(asked.text)),
    ...part.above,
    element("div", { class: "line" }, ...part.beside, unknown),
    told.root,
    again,
  ];
}

const NONE = "No prediction this time.";

/** Choices to pick from; `tell` shows the right one and returns what to say. */
function choices({ choice: list }, commit) {
  const right = rightPlace(list);
  let open = true;
  const picks = choiceButtons({ choices: list, pick: (place) => open && commit(place) });
  function tell(said) {
    open = false;
    picks.mark([right, said], said);
    picks.buttons.forEach((one) => one.setAttribute("aria-disabled", true));
    const answer = `It is ${letter(right)}. ${list[right].why}`;
    if (said === null) return [null, NONE, answer];
    return said === right ? [true, "Right.", list[right].why] : [false, "Not this one.", list[said].why, answer];
  }
  return { above: [picks.root], beside: [], tell, takes: (said) => said === null || said in list };
}

/** A field for a number or a word. */
function entry(asked, commit, told) {
  const words = Array.isArray(asked.answer);
  const input = element("input", {
    type: "text",
    inputmode: words ? "text" : "decimal",
    autocomplete: "off",
    "aria-label": "your prediction",
    onkeydown: (event) => event.key === "Enter" && !event.shiftKey && read(),
  });
  const beside = [element("label", {}, element("span", {}, "your prediction"), input), button("Commit", read)];

  function read() {
    const typed = input.value.trim();
    const said = words ? typed : readNumber(typed);
    input.setAttribute("aria-invalid", said === null || said === "");
    if (said === "") told.say(null, "A word is expected, and the field is empty. Type one, or say that you don't know.");
    else if (said === null) told.say(null, `A number such as 12 or 0.5 is expected, but "${typed}" was typed. Type one.`);
    else commit(said);
  }
  function tell(said) {
    beside.forEach((one) => (one.hidden = true));
    const answer = `It is ${shown(asked.answer)}.`;
    if (said === null) return [null, NONE, answer, asked.why];
    const { right, slip } = judge(asked, said);
    const yours = `You said ${shown(said)}.`;
    if (right) return [true, "Right.", words || said === asked.answer ? yours : `${yours} ${answer}`, asked.why];
    return [false, `${yours} ${answer}`, ...(slip ? [slip] : []), asked.why];
  }
  return { above: [], beside, tell, takes: (said) => said === null || typeof said === (words ? "string" : "number") };
}

mount("predict", render);
