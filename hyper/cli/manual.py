"""The man page and the completion for shells, made of the same table as the help."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator

from ..version import __version__
from .items import METHODS
from .options import ARGUMENTS, DESCRIPTION, USAGE, build_parser

_EXAMPLES = (
    ("hyper https://http2bin.org/get", "Print what a server answers."),
    ("hyper POST https://http2bin.org/post name=Hyper", "Send JSON."),
    ("hyper -v https://http2bin.org/get", "Show the heads of request and response."),
    ("hyper --frames https://http2bin.org/get", "Show the frames of HTTP/2."),
    ("hyper --local --trace picture.html /get", "Draw a request to a local server."),
)
_FILES = (
    *("--output", "--cacert", "--cert", "--key", "--unix-socket", "--trace"),
    "--netrc",
)


def manual() -> str:
    """Return the man page, for ``man -l``."""
    return "\n".join(_manual()) + "\n"


def _manual() -> Iterator[str]:
    yield f'.TH HYPER 1 "" "hyper {__version__}" "User Commands"'
    yield from (".SH NAME", r"hyper \- make HTTP/2 and HTTP/1.1 requests")
    yield from (".SH SYNOPSIS", ".B hyper", _roff(USAGE.removeprefix("hyper ")))
    yield from (".SH DESCRIPTION", _roff(DESCRIPTION))
    yield "Standard output gets the body and nothing else; standard error all the rest."
    yield from (".SH ARGUMENTS", ".nf", _roff(ARGUMENTS.partition("\n")[2].rstrip()))
    yield from (".fi", ".SH OPTIONS")
    for title, actions in _groups():
        yield f".SS {_roff(title)}"
        for action in actions:
            yield ".TP"
            yield ", ".join(
                f"\\fB{_roff(name)}\\fR" for name in action.option_strings
            ) + _roff(_argument(action))
            yield _roff(_help(action))
    yield ".SH EXAMPLES"
    for line, purpose in _EXAMPLES:
        yield from (".TP", f"\\fB{_roff(line)}\\fR", _roff(purpose))
    yield ".SH EXIT STATUS"
    yield "0 if there was a response. Else the number that curl has for the failure."
    yield ".SH ENVIRONMENT"
    yield "SSL_CERT_FILE, SSL_CERT_DIR, SSLKEYLOGFILE, http_proxy, https_proxy,"
    yield "all_proxy, no_proxy, NO_COLOR, FORCE_COLOR, TERM"


def completion(shell: str) -> str:
    """Return a script that completes the command in bash, zsh or fish."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]()


def _bash() -> str:
    names = " ".join(name for action in _options() for name in action.option_strings)
    cases = "".join(
        f"        {'|'.join(action.option_strings)})\n"
        f'            COMPREPLY=($(compgen -W "{_words(action)}" -- "$cur"))'
        f"\n            return ;;\n"
        for action in _options()
        if _choices(action)
    )
    files = "|".join(
        name
        for action in _options()
        if _takes_file(action)
        for name in action.option_strings
    )
    return f"""\
# bash completion for hyper: source <(hyper --completion bash)
_hyper() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}}
    case $prev in
{cases}        {files})
            COMPREPLY=($(compgen -f -- "$cur"))
            return ;;
    esac
    case $cur in
        -*) COMPREPLY=($(compgen -W "{names}" -- "$cur")) ;;
        @*) COMPREPLY=($(compgen -P @ -f -- "${{cur#@}}")) ;;
        *) COMPREPLY=($(compgen -W "{" ".join(sorted(METHODS))}" -- "$cur")) ;;
    esac
}}
complete -o default -F _hyper hyper
"""


def _zsh() -> str:
    lines = []
    for action in _options():
        argument = ""
        if action.nargs != 0:
            what = "_files" if _takes_file(action) else " "
            if _choices(action):
                what = f"({_words(action)})"
            argument = f":{_word(action)}:{what}"
        for name in action.option_strings:
            said = _help(action).replace("[", "(").replace("]", ")").replace(":", r"\:")
            lines.append(shlex.quote(f"*{name}[{said}]{argument}"))
    arguments = " \\\n    ".join(lines)
    methods = " ".join(sorted(METHODS))
    return f"""\
#compdef hyper
# zsh completion for hyper: source <(hyper --completion zsh)
_hyper() {{
  _arguments -s \\
    {arguments} \\
    '1:method or URL:({methods})' \\
    '*:request item:_files'
}}
compdef _hyper hyper
"""


def _fish() -> str:
    lines = ["# fish completion for hyper: hyper --completion fish | source"]
    lines.append(
        f"complete -c hyper -f -n __fish_is_first_arg -a '{' '.join(sorted(METHODS))}'"
    )
    for action in _options():
        words = ["complete", "-c", "hyper"]
        for name in action.option_strings:
            kind = "-l" if name.startswith("--") else "-s"
            words += [kind, name.lstrip("-")]
        if action.nargs != 0:
            words.append("-r" if _takes_file(action) else "-x")
            if _choices(action):
                words += ["-a", _words(action)]
        words += ["-d", _help(action)]
        lines.append(" ".join(map(shlex.quote, words)))
    return "\n".join(lines) + "\n"


def _groups() -> Iterator[tuple[str, list[argparse.Action]]]:
    """Yield the titles of the groups of options, and their options."""
    for group in build_parser()._action_groups:
        actions = [one for one in group._group_actions if one.option_strings]
        if actions:
            yield group.title or "", actions


def _options() -> list[argparse.Action]:
    return [action for _, actions in _groups() for action in actions]


def _word(action: argparse.Action) -> str:
    """Return what stands for the value of an option."""
    return str(action.metavar or action.dest.upper())


def _argument(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    word = _word(action)
    return word if word.startswith("[") else f" {word}"


def _choices(action: argparse.Action) -> list[str]:
    return [str(choice) for choice in action.choices or ()]


def _words(action: argparse.Action) -> str:
    return " ".join(_choices(action))


def _takes_file(action: argparse.Action) -> bool:
    return any(name in _FILES for name in action.option_strings)


def _help(action: argparse.Action) -> str:
    return " ".join((action.help or "").split())


def _roff(text: str) -> str:
    """Return text in which troff sees no command."""
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return "\n".join(
        rf"\&{line}" if line.startswith((".", "'")) else line
        for line in text.split("\n")
    )
