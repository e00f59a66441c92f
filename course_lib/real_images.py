"""Real images for a lesson: which it needs, where they are, and how they get here by themselves or by one call."""

import importlib.util
import itertools
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from course_lib.data.source import loader_of
from course_lib.data_sets import DataSet
from course_lib.fetch import reachable, urls_of
from course_lib.runtime import in_notebook


def to_fetch(data_sets: Sequence[DataSet], image_size: int) -> list[DataSet]:
    """Those whose images are not here, or only smaller."""
    loaders = {data_set: loader_of(data_set) for data_set in data_sets}
    paths = {data_set: loader.find(None) for data_set, loader in loaders.items()}
    return [
        data_set for data_set, path in paths.items() if path is None or loaders[data_set].too_small(path, image_size)
    ]


def megabytes(data_sets: Sequence[DataSet], image_size: int) -> str:
    """How much there is to download.

    >>> from course_lib.data_sets import CHEST_XRAY, CIFAR10
    >>> megabytes([CHEST_XRAY, CIFAR10], 64)
    '191 MB'
    """
    num_bytes = sum(remote.size for data_set in data_sets for remote in loader_of(data_set).remotes(image_size))
    return f"{num_bytes / 1e6:.0f} MB"


def fetch(data_sets: Sequence[DataSet], image_size: int, *, patient: bool) -> str:
    """Download a small version of each, the smallest first, with a line and a bar; why that failed, or nothing.

    Args:
        data_sets: whose images to fetch.
        image_size: that they must have at least, in pixels.
        patient: whether to wait for hosts that are slow; else they have 3 s to answer, and 10 s to become quick.
    """
    remotes = {data_set: loader_of(data_set).remotes(image_size) for data_set in data_sets}
    try:
        if not patient and not reachable(*itertools.chain(*remotes.values())):
            return "no host answers"
        for data_set in sorted(data_sets, key=lambda data_set: sum(remote.size for remote in remotes[data_set])):
            host = urlsplit(urls_of(remotes[data_set][0])[0]).netloc
            print(f"Fetching {data_set.real.title}: {megabytes([data_set], image_size)} from {host}", flush=True)
            loader_of(data_set).fetch(image_size, patient=patient)
    except KeyboardInterrupt:
        return "the download was stopped; what has arrived is kept"
    except (OSError, ValueError) as error:
        return str(error) if patient else str(error).partition("; ")[0]
    return ""


def button(description: str, action: Callable[[], object]) -> Any:
    """A button, and below it what its action prints: an ipywidgets.VBox; None where no notebook can show it."""
    if not in_notebook() or importlib.util.find_spec("ipywidgets") is None:
        return None
    import ipywidgets

    pressed = ipywidgets.Button(description=description, layout=ipywidgets.Layout(width="max-content"))
    output = ipywidgets.Output()

    def act(_: object) -> None:
        pressed.disabled = True
        output.clear_output()
        with output:
            action()
        pressed.disabled = False

    pressed.on_click(act)
    return ipywidgets.VBox([pressed, output])


def show_widget(widget: Any) -> None:
    """Display a widget where widgets can be shown, and nothing elsewhere, where its text would be its Python name."""
    from IPython.display import display

    view = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
    display({"application/vnd.jupyter.widget-view+json": view, "text/plain": ""}, raw=True)
