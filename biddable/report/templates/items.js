// Answered items: filters over the data that stands beside them, and a page of them at a time. Texts come
// from models and become text nodes, never markup.

const PER_PAGE = 20;
const OUTCOMES = { right: "✓", wrong: "✕", undecided: "?", "not asked": "–" };
const PAUSE = 150; // milliseconds after the last key before the search runs

function outcomeOf(answer) {
  if (!answer) return "not asked";
  return answer.correct === null ? "undecided" : answer.correct ? "right" : "wrong";
}

// What may be asked of an item's outcomes, in groups of [label, test]; said is the word for an outcome.
function outcomeFilters(models, said) {
  const every = (wanted) => (item) => item.outcomes.every((outcome) => outcome === wanted);
  const groups = [["", [["Any outcome", () => true]]]];
  if (models.length > 1) {
    const differ = (item) => item.outcomes.includes("right") && item.outcomes.includes("wrong");
    groups.push(["All models", [[`all ${said.right}`, every("right")], [`all ${said.wrong}`, every("wrong")], [`one ${said.right}, one ${said.wrong}`, differ]]]);
    const pairs = models.flatMap((right, a) => models.flatMap((wrong, b) =>
      a === b ? [] : [[`${right} ${said.right}, ${wrong} ${said.wrong}`, (item) => item.outcomes[a] === "right" && item.outcomes[b] === "wrong"]]));
    groups.push(["Two models", pairs]);
  }
  models.forEach((model, index) => {
    groups.push([model, Object.keys(OUTCOMES).map((outcome) => [`${model} ${said[outcome]}`, (item) => item.outcomes[index] === outcome])]);
  });
  return groups;
}

function words(className, textContent) {
  return element("div", { className, textContent, dir: "auto" });
}

function drawAnswer(model, answer, outcome, said) {
  const mark = element("span", { className: `outcome ${outcome.replace(" ", "-")}`, textContent: `${OUTCOMES[outcome]} ${said[outcome]}` });
  const head = element("p", { className: "label" }, element("b", { textContent: model }), " ", mark);
  if (!answer) return element("div", {}, head);
  if (answer.score !== null) head.append(` score ${String(Number(answer.score.toPrecision(4))).replace("-", "−")}`);
  const text = answer.text.trim() ? words("answer", answer.text) : element("p", { className: "note", textContent: "(empty)" });
  const notes = answer.notes.map((textContent) => element("li", { textContent, dir: "auto" }));
  return element("div", {}, head, text, element("ul", { className: "remarks" }, ...notes));
}

function drawItem(item, data) {
  const marks = item.outcomes.map((outcome, index) => element("span", {
    className: `outcome ${outcome.replace(" ", "-")}`, textContent: OUTCOMES[outcome], title: `${data.models[index]}: ${data.said[outcome]}`, ariaLabel: `${data.models[index]}: ${data.said[outcome]}`, role: "img",
  }));
  const suite = data.suites[item.suite];
  const where = [data.suites.length > 1 && !item.id.startsWith(suite) && suite, data.groups[item.group], item.id].filter(Boolean).join(" · ");
  const made = element("details", { className: "item" }, element("summary", {},
    element("span", { className: "marks" }, ...marks),
    element("span", { className: "where", textContent: where }),
    element("span", { className: "snippet", textContent: item.prompt.trim().slice(0, 160), dir: "auto" })));
  const opening = data.openings[item.opening];
  if (opening) {
    const title = `What all prompts of this group open with (${opening.length.toLocaleString("en")} characters)`;
    made.append(element("details", { className: "numbers" }, element("summary", { textContent: title }), words("prompt opening", opening)));
  }
  made.append(element("p", { className: "label", textContent: "Prompt" }), words("prompt", item.prompt));
  if (item.references.length) {
    const title = item.references.length > 1 ? "Right answers" : "Right answer";
    made.append(element("p", { className: "label", textContent: title }), ...item.references.map((each) => words("reference", each)));
  }
  made.append(...data.models.map((model, index) => drawAnswer(model, item.answers[index], item.outcomes[index], data.said)));
  return made;
}

function chooser(name, groups) {
  const select = element("select", { ariaLabel: name });
  for (const [title, options] of groups) {
    const parent = title ? select.appendChild(element("optgroup", { label: title })) : select;
    parent.append(...options.map(([label]) => element("option", { textContent: label })));
  }
  return { select, options: groups.flatMap(([, options]) => options) };
}

function makeItems(box) {
  const data = JSON.parse(box.querySelector("script").textContent);
  const items = data.items;
  items.forEach((item) => (item.outcomes = item.answers.map(outcomeOf)));
  data.said = { ...Object.fromEntries(Object.keys(OUTCOMES).map((outcome) => [outcome, outcome])), right: data.outcomes[0], wrong: data.outcomes[1] };
  const present = (options) => options.filter(([, test]) => items.some(test));
  const named = (field, all, names) => [["", [[all, () => true], ...names.map((name, place) => [name || "(none)", (item) => item[field] === place])]]];
  const outcomes = outcomeFilters(data.models, data.said).map(([title, options]) => [title, present(options)]).filter(([, options]) => options.length);
  const [suite, group] = data.places;
  const capital = (word) => word[0].toUpperCase() + word.slice(1);
  const filters = [
    chooser(capital(suite), named("suite", `All ${suite}s`, data.suites)),
    chooser(capital(group), named("group", `All ${group}s`, data.groups)),
    chooser("Outcome", outcomes),
  ];
  const search = element("input", { type: "search", placeholder: "Search", ariaLabel: "Search in all texts" });
  const list = element("div", {});
  const count = element("p", { className: "note", ariaLive: "polite" });
  const navigations = [makeNavigation(), makeNavigation()];
  let found = items;
  let first = 0;

  function makeNavigation() {
    const previous = element("button", { type: "button", textContent: "←", ariaLabel: "Previous items" });
    const next = element("button", { type: "button", textContent: "→", ariaLabel: "Next items" });
    const position = element("span", { className: "position" });
    previous.addEventListener("click", () => turn(first - PER_PAGE));
    next.addEventListener("click", () => turn(first + PER_PAGE));
    return { previous, next, position, bar: element("div", { className: "toolbar turning" }, previous, position, next) };
  }

  function turn(start) {
    first = start;
    const end = Math.min(first + PER_PAGE, found.length);
    for (const { previous, next, position, bar } of navigations) {
      previous.disabled = first === 0;
      next.disabled = end === found.length;
      position.textContent = `${(first + 1).toLocaleString("en")}–${end.toLocaleString("en")} of ${found.length.toLocaleString("en")}`;
      bar.hidden = found.length <= PER_PAGE;
    }
    list.replaceChildren(...found.slice(first, end).map((item) => drawItem(item, data)));
    if (list.getBoundingClientRect().top < 0) box.scrollIntoView();
  }

  function matches(item, wanted) {
    const texts = [item.id, item.prompt, ...item.references, ...item.answers.flatMap((answer) => (answer ? [answer.text, ...answer.notes] : []))];
    return texts.some((text) => text.toLowerCase().includes(wanted));
  }

  // Beside each choice stands how many items it would leave, given the other choices.
  function apply() {
    const wanted = search.value.trim().toLowerCase();
    const searched = wanted ? items.filter((item) => matches(item, wanted)) : items;
    const tests = filters.map(({ select, options }) => options[select.selectedIndex][1]);
    filters.forEach(({ select, options }, place) => {
      const others = searched.filter((item) => tests.every((test, other) => other === place || test(item)));
      options.forEach(([label, test], index) => {
        const left = others.filter(test).length;
        const option = select.options[index];
        option.textContent = `${label} (${left.toLocaleString("en")})`;
        option.disabled = left === 0 && index !== select.selectedIndex;
      });
    });
    found = searched.filter((item) => tests.every((test) => test(item)));
    count.textContent = found.length ? `${found.length.toLocaleString("en")} of ${items.length.toLocaleString("en")} items. ${legend}` : "No item is like that.";
    turn(0);
  }

  const legend = data.models.length > 1 ? `Marks in order: ${data.models.join(", ")}.` : "";
  let timer;
  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(apply, PAUSE);
  });
  filters.forEach(({ select, options }) => {
    select.hidden = options.length < 3;
    select.addEventListener("change", apply);
  });
  const controls = element("div", { className: "toolbar filters" }, ...filters.map(({ select }) => select), search);
  box.replaceChildren(controls, count, navigations[0].bar, list, navigations[1].bar);
  apply();
}

document.querySelectorAll(".items").forEach(makeItems);
