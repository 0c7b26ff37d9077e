"""Print what makes a shell complete the command's words.

bash:  eval "$(memdata completion bash)"      in ~/.bashrc
zsh:   eval "$(memdata completion zsh)"       in ~/.zshrc
fish:  memdata completion fish > ~/.config/fish/completions/memdata.fish

Where argcomplete is installed and set up, it works as well.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator

from memdata.cli.output import print_json

__all__ = ["configure", "run"]

_BASH = """\
_memdata() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" words=""
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="{commands}"
    elif [[ "$word" == -* ]]; then
        case "${{COMP_WORDS[1]}}" in
{cases}
        esac
    fi
    if [ -n "$words" ]; then
        COMPREPLY=($(compgen -W "$words" -- "$word"))
    else
        COMPREPLY=($(compgen -f -- "$word"))
    fi
}}
complete -o filenames -o bashdefault -F _memdata memdata
"""

_ZSH = """\
autoload -U +X bashcompinit && bashcompinit
autoload -U +X compinit && (( $+functions[compdef] )) || compinit
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "shell", nargs="?", choices=("bash", "zsh", "fish"), help="else that of $SHELL"
    )


def run(options: argparse.Namespace) -> int:
    """Do it."""
    from memdata.cli import COMMANDS

    shell = options.shell or os.path.basename(os.environ.get("SHELL", "bash"))
    words = {name: list(_options(name)) for name in COMMANDS}
    if options.json:
        print_json({name: [flag for flag, _help in found] for name, found in words.items()})
        return 0
    if shell == "fish":
        print("\n".join(_fish(words)))
        return 0
    if shell not in {"bash", "zsh"}:
        raise ValueError(f"no completion for the shell {shell!r}; there are bash, zsh and fish")
    cases = "\n".join(
        f'            {name}) words="{" ".join(flag for flag, _help in found)}" ;;'
        for name, found in words.items()
    )
    print((_ZSH if shell == "zsh" else "") + _BASH.format(commands=" ".join(COMMANDS), cases=cases))
    return 0


def _options(command: str) -> Iterator[tuple[str, str]]:
    """The options of a command, and what they do."""
    from memdata.cli import parser_of

    for action in parser_of(command)._actions:
        for flag in action.option_strings:
            yield flag, (action.help or "").replace("%(default)s", str(action.default))


def _fish(words: dict[str, list[tuple[str, str]]]) -> Iterator[str]:
    from memdata.cli import COMMANDS

    for name, text in COMMANDS.items():
        yield f"complete -c memdata -n __fish_use_subcommand -f -a {name} -d {_quoted(text)}"
    for name, found in words.items():
        for flag, text in found:
            kind = "-l" if flag.startswith("--") else "-s"
            when = _quoted(f"__fish_seen_subcommand_from {name}")
            yield f"complete -c memdata -n {when} {kind} {flag.lstrip('-')} -d {_quoted(text)}"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
