"""What stands for an app, and has its attributes: clients of frameworks look for them on whatever they are given."""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = ["StandsForApp"]


class StandsForApp:
    """Attributes that are not its own are read of the app, and assigned to it.

    Its own are those of its class, ``app``, and all that begin with an underscore.

    Attributes:
        app: what it stands for; or an import string, which has none of an app's attributes here.
        stands_for_app: that this is so, for who has to know it without knowing the class.
    """

    app: Any
    stands_for_app: ClassVar = True

    def __getattr__(self, name: str) -> Any:
        if name == "app" or name.startswith("__") or isinstance(self.app, str):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
        return getattr(self.app, name)

    def __setattr__(self, name: str, value: object) -> None:
        if name == "app" or name.startswith("_") or hasattr(type(self), name):
            object.__setattr__(self, name, value)
        elif isinstance(self.app, str):
            raise AttributeError(
                f"{name!r} can't be set here, for the app is imported over there, as {self.app!r}; set it by call() or "
                "patched(), or isolate the app itself",
                name=name,
                obj=self,
            )
        else:
            setattr(self.app, name, value)
