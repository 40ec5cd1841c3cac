"""The engine: images through filters through a classifier, block by block, into a store."""
