"""The lens: one image, any filter, and what a classifier says to it, at once."""
