"""What all email providers share: the default sender, a subject for every mail, addresses with names."""

from email.utils import parseaddr
from functools import lru_cache

from pydantic_settings import SettingsConfigDict

from domain.messages import Content, Message
from settings import Section

_SUBJECT_LENGTH = 78  # RFC 5322, 2.1.1: the length a line should not exceed


class MailSettings(Section):
    """What is the same for every vendor of email."""

    model_config = SettingsConfigDict(env_prefix="CLARION_")

    mail_from: str


def from_address(message: Message, mail: MailSettings) -> str:
    """The tenant's sender, or ours: `a@example.com` or `Name <a@example.com>`."""
    return message.sender.email or mail.mail_from


@lru_cache(maxsize=4096)
def name_and_address(text: str) -> tuple[str, str]:
    """`Name <a@example.com>` -> (`Name`, `a@example.com`); the name may be empty."""
    line = " ".join(text.split())  # a line break would begin another header
    name, address = parseaddr(line)
    return name, address or line


def subject_of(content: Content) -> str:
    """The subject on one line (a line break would begin another header); without one, how the text begins."""
    if content.subject:
        return " ".join(content.subject.split())
    words = " ".join(content.text.split())
    return words if len(words) <= _SUBJECT_LENGTH else words[: _SUBJECT_LENGTH - 1].rstrip() + "…"
