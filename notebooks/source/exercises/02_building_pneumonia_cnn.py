# %% [markdown]
# # Exercises 2. Building PneumoniaCNN
#
# To be done after [lesson 2](../02_building_pneumonia_cnn.ipynb). Each task asks for a function or a class, and the
# cell below it checks yours with inputs of its own. Stuck? `hint("02.1")` helps a little, called again a little more,
# and `solution("02.1")` shows one way. How far you are is kept in `progress.json` beside this page.

# %% tags=["setup"]
from course_lib.exercises import check, hint, progress, solution

# %%
import hashlib
from collections import Counter, defaultdict
from pathlib import Path

import torch
from PIL import Image
from torch import nn
from torch.utils.hooks import RemovableHandle

# %% tasks

# %% [markdown]
# ## How far you are

# %%
progress(2)
