"""A module that can't be imported."""

# mypy: allow-untyped-defs, allow-untyped-calls


def read_settings(name):
    raise LookupError(f"no settings {name}")


app = read_settings("prod")
