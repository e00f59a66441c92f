# %% [markdown]
# # Exercises 4. CIFAR-10, ten times faster
#
# To be done after [lesson 4](../04_cifar10.ipynb). Each task asks for a function or a class, and the cell below it
# checks yours with inputs of its own. Stuck? `hint("04.1")` helps a little, called again a little more, and
# `solution("04.1")` shows one way. How far you are is kept in `progress.json` beside this page.

# %% tags=["setup"]
from course_lib.exercises import check, hint, progress, solution

# %%
import random
from collections import Counter
from collections.abc import Sequence

import torch
from scipy import stats
from torch import nn
from torch.nn import functional as F

# %% tasks

# %% [markdown]
# ## How far you are

# %%
progress(4)
