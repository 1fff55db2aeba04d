from models import user

class UserWindows:
    windows: user.UserWindows

    def __init__(self, windows: user.UserWindows) -> None: ...
    def in_units(self, unit_ms: int) -> UserWindows: ...
