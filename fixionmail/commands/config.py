"""``fixionmail config``: the settings in force."""

from __future__ import annotations

from fixionmail.commands.output import AsJson, print_json, print_table


def config(as_json: AsJson = False) -> None:
    """Show every setting, its value (secrets masked) and where it came from."""
    from fixionmail.settings import load_settings, settings_in_force

    settings = settings_in_force(load_settings())
    if as_json:
        print_json(
            {
                "settings": [
                    {
                        "name": setting.name,
                        "value": setting.shown or None,
                        "source": setting.source,
                        "description": setting.description,
                    }
                    for setting in settings
                ]
            }
        )
    else:
        print_table(
            ("setting", "value", "from", "what it is"),
            ((s.name, s.shown, s.source, s.description) for s in settings),
        )
