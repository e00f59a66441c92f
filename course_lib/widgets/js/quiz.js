// A quiz: a click on an answer tells whether it is right, and why; first tries are counted.
import { element, mount } from "./common.js";
import { choiceButtons, memory, reply, rightPlace, startAgainButton, withCode } from "./questions.js";

/** The score in words; `tries` holds for each question the places picked so far, in their order. */
export function score(tries, rights) {
  const answered = tries.filter((picked) => picked.length).length;
  const first = tries.filter((picked, n) => picked[0] === rights[n]).length;
  const later = tries.filter((picked, n) => picked.includes(rights[n])).length - first;
  const found = later ? `, ${later} found later` : "";
  return `${answered} of ${tries.length} answered, ${first} right at the first try${found}.`;
}

/** What is said of the pick that came last. */
export function verdict(picked, right) {
  if (picked.at(-1) !== right) return "Not this one.";
  const tries = new Set(picked.slice(0, picked.indexOf(right) + 1)).size;
  return tries === 1 ? "Right." : `Right, found at try ${tries}.`;
}

function render({ questions }) {
  const memories = questions.map(({ key }) => memory(key));
  const rights = questions.map(({ choice }) => rightPlace(choice));
  const tries = questions.map(({ choice }, n) => [memories[n].read() ?? []].flat().filter((place) => place in choice));
  const total = element("p", { class: "score" });
  const count = () => (total.textContent = score(tries, rights));

  function asked({ text, choice }, n) {
    const said = reply();
    const picks = choiceButtons({
      choices: choice,
      pick(place) {
        tries[n].push(place);
        memories[n].write(tries[n]);
        show();
        count();
      },
    });
    function show() {
      const chosen = tries[n].at(-1);
      picks.mark(tries[n], chosen);
      said.say(chosen === rights[n], verdict(tries[n], rights[n]), choice[chosen].why);
    }
    if (tries[n].length) show();
    const legend = element("legend", {}, element("b", {}, `${n + 1}. `), ...withCode(text));
    return element("fieldset", {}, legend, picks.root, said.root);
  }

  count();
  const again = startAgainButton(() => memories.forEach((one) => one.forget()));
  return [...questions.map(asked), element("div", { class: "line" }, total, again)];
}

mount("quiz", render);
