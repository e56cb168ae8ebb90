from typing import Any

class Callable:
    _predict_one: Any
    def __call__(self, x: Any, /) -> Any: ...
