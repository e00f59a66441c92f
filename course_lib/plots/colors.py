"""Colors of Okabe and Ito's palette, which color-blind readers can tell apart."""

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
GRAY = "#666666"
