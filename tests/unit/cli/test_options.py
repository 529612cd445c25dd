"""The options of the plugin's commands."""

from collections import Counter

import pytest

from modelservice_operator.cli.__main__ import cli


@pytest.mark.parametrize("name", cli.commands)
def test_no_command_has_two_options_of_one_name(name: str) -> None:
    options = cli.commands[name].params
    for names in ([word for option in options for word in option.opts], [str(option.name) for option in options]):
        assert [word for word, count in Counter(names).items() if count > 1] == []
