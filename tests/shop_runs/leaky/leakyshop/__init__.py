"""The bookshop, as it was before anybody had cleaned it up: it works, and leaves its traces all over its process."""
