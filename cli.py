"""The ``fixionmail`` command."""


def main() -> None:
    """Run the command line."""
