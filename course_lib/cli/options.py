"""Options that several commands have, and the names that they take."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from course_lib.backbones import BACKBONES
from course_lib.data_sets import DATA_SETS, TASKS, TRANSFER
from course_lib.options import TRANSFER_TASKS, Source

if TYPE_CHECKING:  # which knows no Literal that is made of a table
    What = str
    Task = str
    Preset = str
    Backbone = str
    DataSet = str
else:
    What = Literal[*(data_set.task for data_set in DATA_SETS.values()), TRANSFER]
    Task = Literal[*TRANSFER_TASKS]
    Preset = Literal[*(name for data_set in TASKS.values() for name in data_set.preset_names)]
    Backbone = Literal[*BACKBONES]
    DataSet = Literal[*DATA_SETS]
OF_EACH = "; ".join(
    f"of {task}, {', '.join(data_set.preset_names)}" for task, data_set in TASKS.items() if data_set.preset_names
)

Root = Annotated[Path | None, typer.Option(help="Folder that holds the real images.", show_default=False)]
Data = Annotated[Source | None, typer.Option(help="Where the images come from.", show_default=False)]
