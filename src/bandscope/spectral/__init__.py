"""Spectra: where frequencies lie, gains over them, and gains applied to images."""
