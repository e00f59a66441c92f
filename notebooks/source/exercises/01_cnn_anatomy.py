# %% [markdown]
# # Exercises 1. CNN anatomy
#
# Do these after [lesson 1](../01_cnn_anatomy.ipynb). Each task asks for a function, and the cell below it checks yours
# with inputs of its own. Stuck? `hint("01.1")` helps a little, called again a little more, and `solution("01.1")` shows
# one way. Your progress is kept in `progress.json` beside this page.

# %% tags=["setup"]
from course_lib.exercises import check, hint, progress, solution

# %%
import math

import torch
from torch import nn
from torch.nn import functional as F

# %% tasks

# %% [markdown]
# ## How far you are

# %%
progress(1)
