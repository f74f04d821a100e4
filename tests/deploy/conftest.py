from tests.runtime.live.web.conftest import serve, view

__all__ = ["serve", "view"]
