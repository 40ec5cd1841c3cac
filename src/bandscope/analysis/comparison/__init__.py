"""Models held against each other on the images and conditions that they share."""
