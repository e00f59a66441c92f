# %% [markdown]
# # Exercises 3. Training on GPU
#
# To be done after [lesson 3](../03_training_on_gpu.ipynb). Each task asks for a function, and the cell below it checks
# yours with inputs of its own. Stuck? `hint("03.1")` helps a little, called again a little more, and
# `solution("03.1")` shows one way. How far you are is kept in `progress.json` beside this page.

# %% tags=["setup"]
from course_lib.exercises import check, hint, progress, solution

# %%
import copy
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

# %% tasks

# %% [markdown]
# ## How far you are

# %%
progress(3)
