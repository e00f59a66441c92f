"""Real images for a lesson: which it needs, where they are, and how they get here by themselves or by one call."""

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from course_lib.data import chest_xray, cifar10
from course_lib.fetch import Remote, answers, download, urls_of
from course_lib.runtime import in_notebook


class Images(NamedTuple):
    """What the lessons call a data set, real and simulated, and where it is looked for."""

    real: str
    simulated: str
    find: Callable[[Path | None], Path | None]
    remote: Callable[[int], Remote]
    """The smallest download for images of a size."""
    name: str
    """For `course data get`."""
    folder: str
    kaggle: str
    """The data set to add on Kaggle."""


XRAYS = Images(
    "chest X-rays",
    "simulated radiographs, of no real patient",
    chest_xray.find_chest_xray,
    chest_xray.mnist_for,
    "chest_xray",
    "chest_xray/",
    chest_xray.KAGGLE,
)
PHOTOS = Images(
    "CIFAR-10",
    "simulated objects, no photographs",
    cifar10.find_cifar10,
    lambda image_size: cifar10.ARCHIVE,
    "cifar10",
    "cifar10/ or its archive",
    cifar10.KAGGLE[0],
)


def too_small(place: Path | None, image_size: int) -> bool:
    """Whether what was found is a MedMNIST file with fewer pixels than the images shall have, while others have more.

    >>> too_small(Path("pneumoniamnist_64.npz"), 96), too_small(Path("pneumoniamnist_128.npz"), 96)
    (True, False)
    """
    sizes = {remote.filename: size for size, remote in chest_xray.PNEUMONIA_MNIST.items()}
    return place is not None and sizes.get(place.name, image_size) < min(image_size, max(sizes.values()))


def to_fetch(images: Sequence[Images], image_size: int) -> list[Images]:
    """Those that are not here, or only smaller."""
    found = {one: one.find(None) for one in images}
    return [one for one, place in found.items() if place is None or too_small(place, image_size)]


def megabytes(images: Sequence[Images], image_size: int) -> str:
    """How much there is to download.

    >>> megabytes([XRAYS, PHOTOS], 64)
    '191 MB'
    """
    return f"{sum(one.remote(image_size).size for one in images) / 1e6:.0f} MB"


def fetch(images: Sequence[Images], image_size: int, *, patient: bool) -> str:
    """Download a small version of each, the smallest first, with a line and a bar; why that failed, or nothing.

    Args:
        images: what to fetch.
        image_size: that they must have at least, in pixels.
        patient: whether to wait for hosts that are slow; else they have 3 s to answer, and 10 s to become quick.
    """
    try:
        if not patient and not answers(*(one.remote(image_size) for one in images)):
            return "no host answers"
        for one in sorted(images, key=lambda one: one.remote(image_size).size):
            host = urlsplit(urls_of(one.remote(image_size))[0]).netloc
            print(f"Fetching {one.real}: {megabytes([one], image_size)} from {host}", flush=True)
            download(one.remote(image_size), patient=patient)
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
    said = ipywidgets.Output()

    def act(_: object) -> None:
        pressed.disabled = True
        said.clear_output()
        with said:
            action()
        pressed.disabled = False

    pressed.on_click(act)
    return ipywidgets.VBox([pressed, said])


def show_widget(widget: Any) -> None:
    """Display a widget where widgets can be shown, and nothing elsewhere, where its text would be its Python name."""
    from IPython.display import display

    view = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
    display({"application/vnd.jupyter.widget-view+json": view, "text/plain": ""}, raw=True)
