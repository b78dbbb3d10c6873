from collections.abc import Callable

class Vacancy:
    on_free: Callable[[], None]
    poison: bool
    @property
    def wanted(self) -> bool: ...
