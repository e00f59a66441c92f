"""Finding the cells of a submission."""

from nbformat import NotebookNode


def cell_of(notebook: NotebookNode, grade_id: str) -> NotebookNode:
    """The cell of a task, such as "task-04-1", or of its check, "check-04-1"."""
    return next(cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == grade_id)
