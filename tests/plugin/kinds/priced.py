"""A module with examples.

>>> price("pear")
2
>>> price("apple")
3
"""


def price(what: str) -> int:
    """What it costs.

    >>> price("pear") + price("apple")
    7
    """
    return {"pear": 2, "apple": 3, "plum": 1}[what]


def unused() -> int:
    """
    >>> price("kiwi")
    0
    """
    return price("plum")
