"""What a record holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field

# A turn of a conversation: role, content, and what else the chat template takes, such as tool_calls.
Message = Mapping[str, object]


@dataclass(frozen=True)
class Record:
    """One record of a file: an instruction, a conversation, or plain text, which has neither.

    Args:
        responses: Texts that respond to the prompt, of which the first is trained on; without a prompt the plain text.
        instruction: The task; None for conversations and plain text.
        context: What the task is about; may be empty.
        messages: Conversation up to the response, each a mapping of role, content and further keys of the file.
        tools: Descriptions of the tools that the conversation may call, for the chat template.
        reply: The message that responds, where it holds more than role and content, such as tool_calls.
        options: Further arguments of the chat template, the column `chat_template_kwargs` of TRL.

    Example:
        >>> Record(("3",), instruction="Add.", context="1 and 2").is_text
        False
    """

    responses: tuple[str, ...]
    instruction: str | None = None
    context: str = ""
    messages: tuple[Message, ...] = ()
    tools: tuple[Mapping[str, object], ...] = field(default=(), repr=False)
    reply: Message | None = field(default=None, repr=False)
    options: Mapping[str, object] = field(default_factory=dict, repr=False)

    @property
    def is_text(self) -> bool:
        """Whether the record is plain text, which has no prompt."""
        return self.instruction is None and not self.messages

    @property
    def conversation(self) -> list[Message]:
        """The record as a conversation that ends with the response; a task is one message of the user."""
        content = "\n\n".join(part for part in (self.instruction, self.context) if part)
        prompt = self.messages or ({"role": "user", "content": content},)
        return [*prompt, self.reply or {"role": "assistant", "content": self.responses[0]}]

    @property
    def is_empty(self) -> bool:
        """Whether the response says nothing and calls no tool."""
        return not self.responses[0].strip() and not (self.reply and calls_tool(self.reply))


def calls_tool(message: Message) -> bool:
    """Return whether a message calls a tool, so that it needs no content."""
    return bool(message.get("tool_calls") or message.get("function_call"))


def is_trained(message: Message) -> bool:
    """Return whether a turn may be trained on: the assistant's, unless the file gives it the weight 0."""
    return message["role"] == "assistant" and message.get("weight") != 0
