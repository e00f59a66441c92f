"""Colours of Okabe and Ito's palette, which colour-blind readers can tell apart."""

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
GREY = "#666666"
