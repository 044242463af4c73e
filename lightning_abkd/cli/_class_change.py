"""What another class on the command line keeps of the one in the config: what was given, not what was left out.

jsonargparse keeps defaults, too: `--model.optimizer SGD` would decay weights by AdamW's 0.01.
"""

from collections.abc import Callable

from jsonargparse import Namespace, _typehints

from lightning_abkd.cli._namespaces import entries

_discard: Callable[..., None] = _typehints.discard_init_args_on_class_path_change


def forget_defaults() -> None:
    """Make jsonargparse forget the defaults of a class when another one takes its place."""

    def discard(parser_or_action: object, before: object, after: Namespace) -> None:
        if isinstance(before, Namespace) and before.get("init_args") and before["class_path"] != after["class_path"]:
            _drop_defaults(before["class_path"], before["init_args"])
        _discard(parser_or_action, before, after)

    vars(_typehints)["discard_init_args_on_class_path_change"] = discard


def _drop_defaults(class_path: str, arguments: Namespace) -> None:
    parser = _typehints.ActionTypeHint.get_class_parser(class_path, {})
    defaults = entries(parser.get_defaults())
    for name, value in entries(arguments).items():
        if name in defaults and defaults[name] == value:
            arguments.pop(name)
