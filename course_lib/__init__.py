"""Support package of the course: data, networks, the training loop, scores and explanations.

Importing it is cheap: torch is loaded by the modules that need it, when they are imported.
"""

__version__ = "0.1.0"
