"""Rectangles: the largest part of some proportions, as near to a place as it goes."""

from echomimic.framing.rectangle import largest_part, place


def test_the_largest_part_keeps_its_proportions() -> None:
    assert largest_part((640, 480), (1, 1)) == (480, 480)
    assert largest_part((600, 900), (512, 768)) == (600, 900)
    assert largest_part((3, 2000), (2160, 64)) == (3, 1)


def test_a_rectangle_stays_inside_the_picture() -> None:
    assert place((480, 480), (0, 0), (640, 480)) == (0, 0, 480, 480)
    assert place((480, 480), (640, 480), (640, 480)) == (160, 0, 640, 480)


def test_a_rectangle_lies_where_it_is_aimed() -> None:
    assert place((100, 100), (300, 300), (640, 480)) == (250, 250, 350, 350)
    assert place((100, 100), (300, 300), (640, 480), 0.3) == (250, 270, 350, 370)
