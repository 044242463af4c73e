"""Conversations as the tokenizer's chat template writes them, and where in the text the replies are."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lightning_abkd.language.data._decoding import check_unicode
from lightning_abkd.language.data._record import Message, calls_tool, is_trained
from lightning_abkd.language.data._tokenizers import Tokenizer

Span = tuple[int, int]

_GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")
# Stands for a content, to find where the template writes it.
_MARK = "\ue000content\ue000"


@dataclass(frozen=True)
class Chat:
    """A conversation and the template that writes it.

    Args:
        tokenizer: Tokenizer with the chat template.
        messages: The turns, of which the last is the reply that is trained on.
        tools: Descriptions of tools.
        options: Further arguments of the template.

    Example:
        >>> from lightning_abkd.language.data import byte_tokenizer
        >>> tokenizer = byte_tokenizer()
        >>> tokenizer.chat_template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
        >>> Chat(tokenizer, [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]).text
        '<user>Hi<assistant>Ho'
    """

    tokenizer: Tokenizer
    messages: Sequence[Message]
    tools: Sequence[Mapping[str, object]] = ()
    options: Mapping[str, object] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The whole conversation."""
        return self._write(self.messages)

    @property
    def prompt(self) -> str:
        """The conversation up to the last reply, as a network is asked for one."""
        return self._write(self.messages[:-1], add_generation_prompt=True)

    def shows(self, turn: int) -> bool:
        """Return whether the template writes the content of a message, as it is or changed."""
        try:
            return _MARK[0] in self._write(self._marked(turn))
        except ValueError:
            # It reads the content, which it does to write it.
            return True

    def last_reply(self, text: str) -> Span:
        """Find where the last reply is in the text of the conversation.

        Raises:
            ValueError: If the template does not write it as a part of its own.
        """
        return self._start(text, len(self.messages) - 1), len(text)

    def replies(self, text: str) -> list[Span]:
        """Find where all replies are in the text of the conversation, each with its end of turn.

        Raises:
            ValueError: If the template does not write one as a part of its own.
        """
        turns = [i for i, turn in enumerate(self.messages) if is_trained(turn) and _says(turn)]
        return [(self._start(text, turn), self._end(text, turn)) for turn in turns]

    def counted_by_template(self) -> list[bool] | None:
        """Return which tokens the template marks as generated; None if it has no marks or the tokenizer cannot tell."""
        if not getattr(self.tokenizer, "is_fast", False) or not _GENERATION.search(_template(self.tokenizer)):
            return None
        options = {"tokenize": True, "return_dict": True, "return_assistant_tokens_mask": True}
        written = self._apply(self.messages, **options)
        if not isinstance(written, Mapping):
            return None
        return [bool(mark) for mark in written["assistant_masks"]]

    def _write(self, messages: Sequence[Message], add_generation_prompt: bool = False) -> str:
        text = self._apply(messages, tokenize=False, add_generation_prompt=add_generation_prompt)
        if not isinstance(text, str):
            raise ValueError(f"A chat template should write text. Found {type(text).__name__}.")
        return check_unicode(text, "The text of the conversation")

    def _apply(self, messages: Sequence[Message], **options: bool) -> object:
        from jinja2 import TemplateError

        given = {**self.options, "tools": list(self.tools)} if self.tools else self.options
        try:
            return self.tokenizer.apply_chat_template([*messages], **given, **options)
        except (TemplateError, TypeError, ValueError) as error:
            roles = ", ".join(str(message["role"]) for message in messages)
            raise ValueError(
                f"A conversation should be one that the tokenizer's chat template can write. Found the roles {roles}; "
                f"the template says: {error}."
            ) from error

    def _start(self, text: str, turn: int) -> int:
        """Find where a reply starts: after what the template asks for it with, or else where its content is."""
        try:
            prompt = self._write(self.messages[:turn], add_generation_prompt=True)
        except ValueError:
            # Some templates cannot write what a conversation begins with.
            return self._content(text, turn)[0]
        return len(prompt) if text.startswith(prompt) else self._content(text, turn)[0]

    def _end(self, text: str, turn: int) -> int:
        """Find where a reply ends: where the next turn starts, or else after its content and the end of turn."""
        last = len(self.messages) - 1
        if turn == last:
            return len(text)
        try:
            start = self._write(self.messages[: turn + 1])
        except ValueError:
            start = ""
        if start and text.startswith(start):
            return len(start)
        end = self._content(text, turn)[1]
        # Phi-3 writes a mark of the end of the conversation after the last end of turn.
        end_of_turn = text[self._content(text, last)[1] :]
        return end + common_length(end_of_turn, text[end:])

    def _content(self, text: str, turn: int) -> Span:
        """Find a content in the text: where a mark stands that is written in its place."""
        before, found, after = self._write(self._marked(turn)).partition(_MARK)
        place = (len(before), len(text) - len(after))
        is_there = text.startswith(before) and text.endswith(after) and place[0] < place[1]
        if not found or not is_there:
            raise ValueError(
                "A chat template should write each reply as a part of its own. "
                f"Found none for message {turn + 1}, which it writes otherwise in the whole conversation."
            )
        return place

    def _marked(self, turn: int) -> list[Message]:
        marked = [*self.messages]
        marked[turn] = {**self.messages[turn], "content": _MARK}
        return marked


def common_length(first: Sequence[object], second: Sequence[object]) -> int:
    """Return how many ids or characters two sequences start with together."""
    shared = min(len(first), len(second))
    return next((i for i in range(shared) if first[i] != second[i]), shared)


def _says(turn: Message) -> bool:
    return calls_tool(turn) or bool(str(turn.get("content") or "").strip())


def _template(tokenizer: Tokenizer) -> str:
    """Return the source of the chat template, or of all of them."""
    template = getattr(tokenizer, "chat_template", None)
    return "\n".join(template.values()) if isinstance(template, Mapping) else str(template)
