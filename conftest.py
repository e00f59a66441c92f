"""Read by every pytest run, also by `pytest --nbval notebooks/...`: loads the comparison of the notebooks."""

pytest_plugins = ["notebook_comparison"]  # in tests/
collect_ignore = ["notebooks/source"]  # looking for doctests would run every lesson there
