# %% [markdown]
# # Exercises 5. Transfer learning
#
# To be done after [lesson 5](../05_transfer_learning.ipynb). Each task asks for a function, and the cell below it
# checks yours with inputs of its own. Stuck? `hint("05.1")` helps a little, called again a little more, and
# `solution("05.1")` shows one way. How far you are is kept in `progress.json` beside this page.

# %% tags=["setup"]
from course_lib.exercises import check, hint, progress, solution

# %%
import statistics
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

# %% tasks

# %% [markdown]
# Section 4 of the lesson has what you need to try it on: `draw` gives the images of a seed, and a probe on features
# against a probe on pixels are two such functions.

# %% [markdown]
# ## How far you are

# %%
progress(5)
