from typing import Any

class Caller:
    _predict_one: Any
    def __call__(self, x: Any, /) -> Any: ...
