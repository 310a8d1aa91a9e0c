"""From totals and levels to bytes, before anybody asks for them.

`text` writes lines, `protobuf` messages, `block` compresses a family's lines once, `account` keeps an account's blocks
current, `page` puts the blocks of all accounts together.
"""

from exporter.exposition.account import AccountPage
from exporter.exposition.block import Block
from exporter.exposition.page import Assembly, Page, Section, assemble, build_page
from exporter.exposition.text import TEXT_FORMATS, Family, Format

__all__ = [
    "TEXT_FORMATS",
    "AccountPage",
    "Assembly",
    "Block",
    "Family",
    "Format",
    "Page",
    "Section",
    "assemble",
    "build_page",
]
