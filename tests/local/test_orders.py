"""The orders job: real purchases, day by day."""

from local.orders import days, purchases


def test_purchases_are_the_published_data_set() -> None:
    """69,659 purchases of CDNOW from January 1997 to June 1998."""
    assert sum(1 for _ in purchases()) == 69_659


def test_days_are_in_order_and_add_up() -> None:
    """546 days, none twice; the dollars of all days are those of all purchases."""
    figures = days()
    assert [f.at for f in figures] == sorted({f.at for f in figures})
    assert (figures[0].at, figures[-1].at, len(figures)) == ("1997-01-01", "1998-06-30", 546)
    assert round(sum(f.revenue for f in figures)) == round(sum(dollars for *_, dollars in purchases()))
