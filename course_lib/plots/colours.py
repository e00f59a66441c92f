"""Three colours of Okabe and Ito's palette, which colour-blind readers can tell apart."""

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#666666"
