# %% [markdown]
# # Exercises 6. Visualization
#
# To be done after [lesson 6](../06_visualization.ipynb). Each task asks for a function, and the cell below it checks
# yours with inputs of its own. Stuck? `hint("06.1")` helps a little, called again a little more, and
# `solution("06.1")` shows one way. How far you are is kept in `progress.json` beside this page.

# %% tags=["setup"]
from course_lib.exercises import check, hint, progress, solution

# %%
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.runtime import evaluation_mode

# %% tasks

# %% [markdown]
# The lesson's network that read letters is worth the test: `marker_box(64)` of `course_lib.data` is its box. A fraction
# far above the control is evidence of a shortcut. A fraction near the control speaks against one in *this* box only.

# %% [markdown]
# ## How far you are

# %%
progress(6)
