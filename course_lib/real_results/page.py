"""A result on a lesson's page: what is recorded, beside what this page has found."""

from typing import Any

from course_lib.data import ImageSet
from course_lib.plots import publish, publish_caption
from course_lib.real_results.kinds import KINDS, Drawing
from course_lib.real_results.records import Record, is_simulated, note, read, rounded, text_of
from course_lib.tables import Table

TITLES = {"chest X-rays": "the real X-rays"}


def on_real(key: str, found: object = None, *images: ImageSet) -> None:
    """Show what was found on real images: the recorded result, beside that of this page where they can be compared.

    While the lesson is being recorded (`course run 03 --data real --root DIR --record`), `found` is what gets recorded.

    Args:
        key: such as "03.test", described in `course_lib/real_results/lesson_3.toml`.
        found: what this page has found; what it must be depends on the result's kind, see `kinds.py`. Without it, the
            recorded result stands alone.
        images: those that were scored or counted.

    Raises:
        ValueError: the key is not known, or the lesson is being recorded and its images are simulated.
        TypeError: `found` without `images`.
    """
    if found is not None and not images:
        raise TypeError(f"{key}: give the images that were scored with what was found, on_real(key, found, images).")
    text, stored, by_source = text_of(key), read(int(key[:2])).get(key), {}
    if stored:
        by_source[heading(stored)] = stored.values
    if found is not None:
        note(key, found, images)
        image_set = images[0]
        if not is_simulated(images):
            by_source[f"yours, on {TITLES.get(image_set.name, image_set.name)}"] = page_values(key, found, image_set)
        elif text.get("beside_simulated", True):
            by_source[f"this page, {image_set.name}"] = page_values(key, found, image_set)
    if not stored:
        print(f"Nothing is recorded for {key} yet; `course run {key[:2]} --data real --root DIR --record` does.")
    if by_source:
        display(KINDS[text["kind"]].show(by_source, text), source_line(stored) if stored else "")


def page_values(key: str, result: object, image_set: ImageSet) -> Any:
    return rounded(KINDS[text_of(key)["kind"]].values(result, image_set.classes))


def heading(record: Record) -> str:
    """What stands above the numbers of a record."""
    return f"recorded on {TITLES.get(record.data, record.data)}"


def source_line(record: Record) -> str:
    """Where a recorded result comes from, in one line."""
    seeds = f", seed{'s' if len(record.seeds) > 1 else ''} {', '.join(map(str, record.seeds))}" if record.seeds else ""
    return (
        f"Recorded: {record.data}, {record.n:,} {record.split} images, {record.pixels} pixels{seeds}; "
        f"{record.device}, torch {record.versions['torch']}, course {record.versions['course']}; "
        f"`{record.command}`, {record.date}."
    )


def display(items: list[Table | Drawing], line: str) -> None:
    """Put tables and drawings below a notebook's cell, and the line that says where they come from."""
    from IPython.display import publish_display_data  # only notebooks have it

    for item in items:
        if isinstance(item, Table):
            publish_display_data({"text/html": item.html(), "text/plain": str(item)})
        else:
            publish(item.figure, item.alt)
    if line:
        publish_caption(line)
