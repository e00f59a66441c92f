"""What can be said of a command's options before torch is imported, which takes seconds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from course_lib.data_sets import OWN_IMAGES, TASKS, TRANSFER, DataSet

Source = Literal["auto", "real", "simulated"]
Split = Literal["train", "val", "test"]
TRANSFER_TASKS = [task for task, data_set in TASKS.items() if TRANSFER in data_set.presets]


def check_train(
    what: str,
    task: str | None,
    *,
    backbone: str | None,
    preset: str | None,
    data: str | None,
    root: Path | None,
    out: Path,
    resume: bool,
    classes: str | None,
    subfolder: str | None,
) -> None:
    """Refuse options of `course train` that do not go together, and folders that are not there.

    Raises:
        ValueError, FileNotFoundError, FileExistsError: the message says what to do.
    """
    if what == TRANSFER:
        if task is None or preset is not None:
            tasks = f"{', '.join(TRANSFER_TASKS[:-1])} or {TRANSFER_TASKS[-1]}"
            raise ValueError(f"`course train transfer` needs --task {tasks}, and has no --preset.")
    elif task is not None or backbone is not None:
        raise ValueError(f"--task and --backbone are for `course train transfer`, not for `course train {what}`.")
    data_set = TASKS[task or what]
    data_set.preset(TRANSFER if task else preset)
    if data_set is not OWN_IMAGES and (classes is not None or subfolder is not None):
        raise ValueError("--classes and --subfolder are for `course train transfer --task folder`; leave them out.")
    check_source(data, root, data_set)
    if root is not None and not root.exists():
        raise FileNotFoundError(f"{root}: no such folder; give the one that holds the images as --root.")
    if resume:
        config_path(out)
    else:
        if data_set is OWN_IMAGES:
            own_images(root)
        check_out(out)


def check_source(source: str | None, root: Path | None, data_set: DataSet | None = None) -> None:
    """Refuse a folder for simulated images, and simulated images of a data set that has none.

    Raises:
        ValueError: they were asked for.
    """
    if source == "simulated" and root is not None:
        raise ValueError(f"simulated images lie in no folder, but the root {root} was given; leave one of them out.")
    if source == "simulated" and data_set and data_set.simulated is None:
        raise ValueError(
            f"no simulated images stand in for {data_set.real.title}, but --data or COURSE_DATA asks for them; ask for "
            "real ones."
        )


def own_images(root: Path | None) -> Path:
    """The folder that holds the class folders of one's own.

    Raises:
        ValueError: none is named.
    """
    if root is None:
        raise ValueError("whose images? Name the folder that holds a folder for each class by --root.")
    return root


def check_out(out: Path) -> None:
    """Refuse a folder for a new run that holds one.

    Raises:
        FileExistsError: it does.
    """
    if (out / "config.json").exists():
        raise FileExistsError(f"{out}: holds a run already; choose another --out, or go on with it by --resume.")


def check_predict(run: Path, images: Sequence[Path], explain: Path | None) -> None:
    """Refuse to predict from what is no run folder, for images none of which is there, or to draw where it cannot be.

    Raises:
        ValueError, FileNotFoundError: the message says what to do.
    """
    config_path(run)
    if explain is not None:
        if len(images) > 1:
            raise ValueError(f"--explain draws one image, but {len(images)} are named; call predict once for each.")
        if explain.suffix.lower() != ".png" or explain.is_dir():
            raise ValueError(f"--explain {explain}: a PNG file is written; give a name such as why.png.")
        if not explain.parent.is_dir():
            raise FileNotFoundError(f"--explain {explain}: there is no folder {explain.parent}; make it first.")
    if not any(path.exists() for path in images):
        raise FileNotFoundError(f"{', '.join(map(str, images))}: no such file; check the path.")


def config_path(run: Path) -> Path:
    """The config.json of a run folder.

    Raises:
        FileNotFoundError: this is not a run folder.
    """
    path = run / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{run}: not a run folder, it has no config.json; make one with `course train`.")
    return path
