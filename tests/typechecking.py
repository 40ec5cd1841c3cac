"""Shapes and types in signatures are checked while tests run (an int is welcome where a float is asked)."""

from beartype import BeartypeConf, beartype

checker = beartype(conf=BeartypeConf(is_pep484_tower=True))
