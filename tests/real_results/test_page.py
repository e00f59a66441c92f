"""What a cell with `on_real` shows, keeps and refuses."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from course_lib.data import ImageSet
from course_lib.metrics import binary_report
from course_lib.real_results import FOUND, keep, on_real, read, record, records

Shown = list[dict[str, str]]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of the package's, with the texts and without records."""
    for path in records.HERE.glob("*.toml"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(records, "HERE", tmp_path)
    return tmp_path


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shown]:
    """What is displayed below the cell."""
    displayed: Shown = []
    monkeypatch.setattr("IPython.display.publish_display_data", lambda data, **_: displayed.append(data))
    return displayed


@pytest.fixture
def real(make_set: Callable[..., ImageSet]) -> ImageSet:
    return named(make_set(40), "chest X-rays")


def named(images: ImageSet, name: str) -> ImageSet:
    return ImageSet(images.images, images.labels, ("NORMAL", "PNEUMONIA"), images.groups, name, "none")


def reports(images: ImageSet, seed: int = 0) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    probs = (images.labels + torch.randn(len(images), generator=generator)).sigmoid()
    return {f"seed {number}": binary_report(probs, images.labels) for number in range(3)}


CURVES = {"training": (range(1, 4), [0.7, 0.5, 0.25])}


def test_the_recorded_result_stands_above_what_this_page_has_found(package: Path, shown: Shown, real: ImageSet) -> None:
    record("03.test", reports(real), real, command="python tests/benchmarks/three.py --root DIR")
    on_real("03.test", reports(real, seed=1), real)
    table, line = (one["text/plain"] for one in shown)
    assert table.index("recorded on the real X-rays") < table.index("yours, on the real X-rays")
    of_one = reports(real)["seed 0"]
    low, high = of_one.ci95["auc"]
    assert f"{of_one.auc:.3f} [{low:.3f}, {high:.3f}]" in table
    missed, ill = of_one.confusion[1][0], sum(of_one.confusion[1])
    assert f"{missed} of {ill}" in next(row for row in table.splitlines() if "PNEUMONIA taken for NORMAL" in row)
    said = " ".join(line.split())
    for fact in ("40 test images", "16 pixels", "seeds 0, 1, 2", "`python tests/benchmarks/three.py --root DIR`"):
        assert fact in said
    assert read(3)["03.test"].date in said


def test_what_a_simulated_page_has_found_is_called_simulated(package: Path, shown: Shown, real: ImageSet) -> None:
    simulated = named(real, "simulated chest radiographs")
    record("02.counts", {"train": real.counts()}, real, command="python count.py")
    on_real("02.counts", {"train": simulated.counts()}, simulated)
    on_real("03.curves", CURVES, simulated)
    assert "this page, simulated chest radiographs" in shown[0]["text/plain"]
    assert "this page, simulated chest radiographs: training from" in shown[-1]["text/plain"]


def test_a_simulated_page_is_the_same_on_every_machine_where_a_training_is_not(
    package: Path, shown: Shown, real: ImageSet
) -> None:
    simulated = named(real, "simulated chest radiographs")
    record("03.test", reports(real), real, command="python three.py")
    record("03.curves", CURVES, real, command="python curves.py")
    for seed in (1, 2):
        on_real("03.test", reports(simulated, seed=seed), simulated)
        on_real("03.curves", {"training": ([1, 2, 3], [0.7, 0.5, 0.2 + 0.1 * seed])}, simulated)
    texts = [one["text/plain"] for one in shown]
    assert texts[:4] == texts[4:]


def test_a_table_is_one_in_jupyter_and_a_narrow_one_in_a_terminal(package: Path, shown: Shown, real: ImageSet) -> None:
    record("03.test", reports(real), real, command="python three.py")
    on_real("03.test")
    assert "<table>" in shown[0]["text/html"]
    assert shown[0]["text/html"].count('<th scope="col">') == 4
    assert max(len(line) for one in shown for line in one["text/plain"].splitlines()) <= 100


def test_curves_are_drawn_with_their_numbers_as_alt_text(package: Path, shown: Shown, real: ImageSet) -> None:
    record("03.curves", CURVES, real, command="python curves.py")
    on_real("03.curves", CURVES, real)
    assert {"image/png", "image/jpeg"} & shown[0].keys()
    alt = "recorded on the real X-rays: training from 0.70 at 1 to 0.25 at 3. Beside it: yours, on the real X-rays."
    assert alt in shown[0]["text/plain"]


def test_classes_that_are_others_are_not_laid_beside_one_another(
    package: Path, shown: Shown, make_set: Callable[..., ImageSet]
) -> None:
    images = make_set(40)
    on_real("04.classes", binary_report(images.labels * 0.8, images.labels), named(images, "simulated objects"))
    assert shown == []


def test_without_a_record_the_page_says_how_to_make_one(
    package: Path, shown: Shown, real: ImageSet, capsys: pytest.CaptureFixture[str]
) -> None:
    on_real("03.curves")
    assert "`course run 03 --data real --root DIR --record`" in capsys.readouterr().out
    assert shown == []
    on_real("03.curves", CURVES, real)
    assert len(shown) == 1


def test_what_cells_note_is_kept_and_records_of_scripts_stay(
    package: Path, shown: Shown, real: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record("03.roc", {"seed 0": (real.labels * 0.5, real.labels)}, real, command="python roc.py")
    noted = tmp_path / "found.jsonl"
    monkeypatch.setenv(FOUND, str(noted))
    on_real("03.test", reports(real), real)
    on_real("03.curves", CURVES, real)
    keep(3, noted)
    assert list(read(3)) == ["03.curves", "03.test", "03.roc"]  # in the order of the page
    assert read(3)["03.curves"].command == "course run 03 --data real --root DIR --record"
    noted.unlink()
    on_real("03.test", reports(real), real)
    keep(3, noted)
    assert list(read(3)) == ["03.test", "03.roc"], "a cell that is gone leaves no record"
    keep(1, tmp_path / "nothing.jsonl")
    assert not (package / "lesson_1.json").exists()


def test_simulated_images_are_never_recorded(
    package: Path, real: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulated = named(real, "simulated chest radiographs")
    with pytest.raises(ValueError, match="simulated chest radiographs; add --data real"):
        record("03.curves", CURVES, real, simulated, command="python curves.py")
    monkeypatch.setenv(FOUND, str(tmp_path / "found.jsonl"))
    with pytest.raises(ValueError, match="add --data real"):
        on_real("03.curves", CURVES, simulated)
    assert not (tmp_path / "found.jsonl").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_a_number_is_not_recorded(package: Path, real: ImageSet, value: float) -> None:
    with pytest.raises(ValueError, match=r"03\.curves: NaN or infinity is no result"):
        record("03.curves", {"training": ([1, 2], [value, value])}, real, command="python curves.py")
    assert not (package / "lesson_3.json").exists()


def test_wrong_calls_say_what_to_do(package: Path, real: ImageSet) -> None:
    with pytest.raises(ValueError, match=r"got '03.tset'; describe it in real_results/lesson_3.toml \(03.first"):
        on_real("03.tset")
    with pytest.raises(TypeError, match="on_real\\(key, found, images\\)"):
        on_real("03.curves", CURVES)
    with pytest.raises(ValueError, match="is a lesson's command; give that of the script"):
        record("03.curves", CURVES, real, command="course run 03")


def test_a_record_holds_five_digits_and_no_more(package: Path, real: ImageSet) -> None:
    record("03.curves", {"training": ((1, 2), (torch.tensor(2 / 3).item(), 1e-7 / 3))}, real, command="python c.py")
    (stored,) = json.loads((package / "lesson_3.json").read_text())
    assert stored["values"]["training"] == {"x": [1, 2], "y": [0.66667, 3.3333e-08]}
