"""How the preferred band moves with the size of the object: r50 over zoom, and the law r50 ~ zoom^-beta."""
