"""One run, from data to run folder: recipe, training, evaluation, prediction, model card."""

from course_lib.runs.evaluate import Prediction, draw_explanation, evaluate_run, predict
from course_lib.runs.folder import TrainedRun, load_run
from course_lib.runs.model_card import arithmetic
from course_lib.runs.recipe import Recipe
from course_lib.runs.start import stored_recipe
from course_lib.runs.train import train_run

__all__ = [
    "Prediction",
    "Recipe",
    "TrainedRun",
    "arithmetic",
    "draw_explanation",
    "evaluate_run",
    "load_run",
    "predict",
    "stored_recipe",
    "train_run",
]
