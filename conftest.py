"""Read by every pytest run, also of one notebook: how notebooks are compared, and what needs no run."""

pytest_plugins = ["notebook_comparison", "unchanged"]  # in tests/
collect_ignore = ["notebooks/source"]  # looking for doctests would run every lesson there
