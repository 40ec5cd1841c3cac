"""Training by a recipe: networks in, weights that audits take by path out."""

from bandscope.training.fit import Trained, train
from bandscope.training.job import Report
from bandscope.training.recipe import RECIPES, Recipe

__all__ = ["RECIPES", "Recipe", "Report", "Trained", "train"]
