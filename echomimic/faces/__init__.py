"""Faces in pictures: where they are, their 478 points, the person's outline, hands and pose."""
