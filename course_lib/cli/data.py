"""The commands that list, fetch and audit the datasets."""

import typer

from course_lib.cli.options import Data, DataSet, Root
from course_lib.data_sets import DATA_SETS

app = typer.Typer(help="The datasets: what there is, fetching, auditing.", no_args_is_help=True)


@app.command("list")
def data_list() -> None:
    """List the datasets and where they lie.

    Example: course data list
    """
    from course_lib.data.source import loader_of

    rows = [
        (data_set.name, loader_of(data_set).find(None) or "absent", data_set.license) for data_set in DATA_SETS.values()
    ]
    for name, path, terms in [*rows, ("simulated", "made when asked for", "simulated, no patient")]:
        print(f"{name:13} {path}\n{'':13} {terms}")


@app.command("get")
def data_get(name: DataSet) -> None:
    """Download a dataset and verify it.

    Example: course data get chest_xray
    """
    from course_lib.data.source import loader_of

    loader = loader_of(DATA_SETS[name])
    print((loader.get or loader.fetch)())


@app.command("audit")
def data_audit(name: DataSet, data: Data = None, root: Root = None) -> None:
    """Look for duplicates, patients in two splits, and what the files' sizes and shapes give away.

    Example: course data audit chest_xray --root ~/data
    """
    from course_lib.data import audit_splits
    from course_lib.data.source import loader_of

    print(audit_splits(loader_of(DATA_SETS[name]).load(data, root=root)))
