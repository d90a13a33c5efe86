"""The pytest plugin: options that isolate a whole suite, a fixture, and what a failed test should tell of its apps.

pytest loads it in every run of every project that has isoclient installed, so that it imports next to nothing and does
nothing until there is a client. What it has to do with clients goes through :mod:`isoclient.client.registry`.
"""

from __future__ import annotations

from isoclient.plugin.fixtures import isolated_client
from isoclient.plugin.options import pytest_addoption, pytest_configure

__all__ = ["isolated_client", "pytest_addoption", "pytest_configure"]
