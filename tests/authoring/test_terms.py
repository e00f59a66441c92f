"""The course speaks in standard words: the glossary explains them, and nothing that readers see replaces them."""

import re
from collections.abc import Callable, Iterator

import jupytext
import pytest
from readers_texts import Text, notebook_texts, package_texts, readme_texts, script_texts, toml_texts

from course_lib.authoring import sources
from course_lib.authoring.terms import Term, glossary, glossary_page, wrong_words

DOCUMENTATION = r"https://docs\.pytorch\.org/(docs|vision)/stable/\S+\.html(#\S+)?|https://scikit-learn\.org/stable/\S+"
PAPER = r"https://arxiv\.org/abs/\d{4}\.\d{4,5}|https://doi\.org/10\.\d{4,}/\S+"
each_term = pytest.mark.parametrize("term", glossary(), ids=lambda term: term.anchor)


@pytest.mark.parametrize("texts", [notebook_texts, package_texts, toml_texts, script_texts, readme_texts])
def test_readers_meet_the_standard_words(texts: Callable[[], Iterator[Text]]) -> None:
    read = list(texts())
    assert sum(len(text) for _, text in read) > 10_000, "hardly anything was read"
    assert [f"{name}: {wrong}" for name, text in read for wrong in wrong_words(text)] == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("The loss's slope at w is 4.", "slope"),
        ("{} of those called ill are ill", "called ill"),
        ("validation: area {}, accuracy {}", "area {"),
        ("Which share of the time do they take?", "Which share"),
        ("Each place of the map adds something.", "Each place"),
        ("The way back is twice the way forward.", "way back"),
        ("One number a\nmap is enough.", "number a map"),
        ("96 numbers an image", "numbers an image"),
        ("Whoever evaluates like that leaks.", "Whoever"),
        ("{} for who trains to the end", "for who trains"),
        ("A grey neighbour was labelled.", "grey"),
        ("networks that have learnt a lot", "learnt"),
    ],
)
def test_a_word_of_its_own_is_found(text: str, wrong: str) -> None:
    assert f"[{wrong}]" in wrong_words(text)[0]


@pytest.mark.parametrize(
    "text",
    [
        "Two classes share their texture; `plot_shares` draws a bar for each.",
        "The AUC is the area under the ROC curve, and four times the side is sixteen times the area.",
        "ReLU works in place, and the second call took its place.",
        "A hook is called each time; the network calls it with a batch. Give each image a channel.",
        "The result depends on who else is in the batch. Who is ill?",
        "Precise, wise and promising: a rise of the noise, by exercise.",
    ],
)
def test_an_ordinary_sentence_is_left_alone(text: str) -> None:
    assert wrong_words(text) == []


def test_each_term_is_explained_once_in_alphabetical_order() -> None:
    names = [term.name.lower() for term in glossary()]
    assert names == sorted(set(names))
    assert len(names) > 60


@each_term
def test_a_definition_is_one_or_two_sentences_in_standard_words(term: Term) -> None:
    assert len(re.findall(r"[.?!](?= |$)", term.definition)) in (1, 2)
    assert re.search(r"[.?]$", term.definition)
    assert wrong_words(term.definition) == []


@each_term
def test_a_term_is_met_in_its_lesson(term: Term) -> None:
    cells = jupytext.read(sources([str(term.lesson)])[0], fmt="py:percent").cells
    prose = " ".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert re.search(rf"\b{re.escape(term.name)}", " ".join(prose.replace("*", "").split()), re.I)


@each_term
def test_a_term_leads_to_documentation_or_a_paper(term: Term) -> None:
    assert re.fullmatch(f"{DOCUMENTATION}|{PAPER}", term.link)


def test_an_address_with_a_terms_name_leads_to_it() -> None:
    nodes, core = (pytest.importorskip(f"docutils.{name}") for name in ("nodes", "core"))
    parser = pytest.importorskip("myst_parser.docutils_").Parser()
    page = core.publish_doctree(glossary_page(), parser=parser, settings_overrides={"report_level": 3})
    found = {anchor: node.astext() for node in page.findall(nodes.paragraph) for anchor in node["ids"]}
    for term in glossary():
        assert found[term.anchor].startswith(f"{term.name}:")
    assert "receptive-field" in found
